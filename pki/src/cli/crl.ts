/** `mesh-pki crl`: writes the current revocation lists. */

import { resolve } from 'node:path'
import { printableJson } from '@clawmesh/proto'
import { columns } from '@clawmesh/proto/command-line'
import type { Command } from 'commander'
import { replaceFile } from '../disk/replace-file.ts'
import { formatDate, formatDuration } from '../verify/words.ts'
import { type CaOptions, openCaOf, withCaOptions } from './ca-options.ts'
import type { Terminal } from './terminal.ts'
import { parseDuration } from './values.ts'

interface CrlOptions extends CaOptions {
  readonly out?: string
  readonly der?: string
  readonly ttl?: number
  readonly rootKey?: string
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ mesh-pki crl --out crl.pem
  $ mesh-pki crl --out crl.pem --ttl 7d --der crl.der
  $ mesh-pki crl --out crl.pem --root-key root.key   after that of a CA
  $ openssl crl -in crl.pem -noout -text       what it says

Make it again before it ends, and after each revoke.`

export function addCrl(program: Command, terminal: Terminal): void {
  const command: Command = withCaOptions(program.command('crl'))
    .description(
      'sign the lists of revoked certificates, one for each CA, with the certificates that verify them',
    )
    .option('--out <file>', 'PEM file to write or replace (default: it goes to stdout)')
    .option('--der <file>', 'write the list of the intermediate alone, in DER, as well')
    .option('--ttl <duration>', 'how long it is good for, e.g. 7d (default: 24h)', parseDuration)
    .option(
      '--root-key <file>',
      'sign the list of the root anew (default: root.key of the CA, if there)',
    )
    .option('--json', 'print the facts as JSON; needs --out')
    .addHelpText('after', EXAMPLES)
    .action(async (options: CrlOptions) => {
      if (options.json === true && options.out === undefined)
        return command.error('error: --json needs --out')
      const ca = await openCaOf(terminal, options)
      const crl = await ca.crl({
        ...(options.ttl === undefined ? {} : { ttlMs: options.ttl }),
        ...(options.rootKey === undefined ? {} : { rootKeyFile: options.rootKey }),
      })
      if (crl.rootListFault !== null)
        terminal.say(`the list of the root ${crl.rootListFault}: once with --root-key FILE`)
      if (options.der !== undefined) await replaceFile(resolve(options.der), crl.der, 0o644)
      if (options.out === undefined) {
        terminal.print(crl.pem.trimEnd())
        return
      }
      const path = resolve(options.out)
      await replaceFile(path, crl.pem, 0o644)
      const { number, thisUpdate, nextUpdate, serials } = crl
      terminal.print(
        options.json === true
          ? printableJson({ path, number, thisUpdate, nextUpdate, serials }, 2)
          : columns([
              ['file', path],
              ['revoked', String(serials.length)],
              ['number', String(number)],
              [
                'good until',
                `${formatDate(nextUpdate)}, ${formatDuration(nextUpdate.getTime() - Date.now())} left`,
              ],
            ]),
      )
      terminal.say('make it again before it ends: gateways refuse to judge by a stale list')
    })
}
