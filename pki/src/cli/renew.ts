/** `mesh-pki renew intermediate`: renews the intermediate of a CA. */
import { join } from 'node:path'
import { printableJson } from '@clawmesh/proto'
import { columns } from '@clawmesh/proto/command-line'
import type { Command } from 'commander'
import { readCaInfo } from '../ca/open-ca.ts'
import { renewIntermediate } from '../ca/renew-intermediate.ts'
import { formatDate, formatDuration } from '../verify/words.ts'
import { type CaOptions, caDirectory, passphraseOf, withCaOptions } from './ca-options.ts'
import type { Terminal } from './terminal.ts'
import { collectDomains, collectIpRanges, parseDays } from './values.ts'

interface RenewOptions extends CaOptions {
  readonly rootKey?: string
  readonly newKey?: boolean
  readonly days?: number
  readonly permitDns?: readonly string[]
  readonly permitIp?: readonly string[]
  readonly constrainUri?: boolean
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ mesh-pki renew intermediate --root-key /mnt/safe/root.key
  $ mesh-pki renew intermediate --new-key          when its key may be known
  $ mesh-pki renew intermediate --no-constrain-uri   for rustls and Python

What it issued before stays good. Then: mesh-pki crl, and issue again before the
intermediate of before ends. A certificate of an agent or a gateway is renewed
by \`mesh-pki issue\` into the same directory.`

export function addRenew(program: Command, terminal: Terminal): void {
  const renew = program
    .command('renew')
    .description('give the CA a new intermediate, before the one that it has ends')
    .helpCommand(false)
    .addHelpText('after', EXAMPLES)
  withCaOptions(renew.command('intermediate'))
    .description('in one step, with the key that it has or a new one; needs the key of the root')
    .option('--root-key <file>', 'key of the root (default: root.key of the CA)')
    .option('--new-key', 'with a new key, and with it a new name')
    .option(
      '--days <days>',
      'its life, never longer than that of the root (default: 365)',
      parseDays,
    )
    .option(
      '--permit-dns <domain...>',
      'DNS domains besides those permitted so far',
      collectDomains,
    )
    .option('--permit-ip <cidr...>', 'IP ranges besides those permitted so far', collectIpRanges)
    .option('--constrain-uri', 'permit SPIFFE IDs of the trust domain only (default: as so far)')
    .option('--no-constrain-uri', 'have no URI constraint: rustls and Python know none')
    .option('--json', 'print the facts as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (options: RenewOptions) => {
      const dir = caDirectory(terminal, options)
      // a missing CA is reported before the passphrase prompt
      const before = await readCaInfo(dir)
      const rootKeyFile = options.rootKey ?? join(dir, 'root.key')
      const passphrase = await passphraseOf(terminal, dir, options, rootKeyFile)
      const { rootKey, newKey, days, permitDns, permitIp, constrainUri } = options
      const info = await renewIntermediate({
        dir,
        passphrase,
        ...(rootKey === undefined ? {} : { rootKeyFile: rootKey }),
        ...(newKey === undefined ? {} : { newKey }),
        ...(days === undefined ? {} : { days }),
        ...(permitDns === undefined ? {} : { permitDnsDomains: permitDns }),
        ...(permitIp === undefined ? {} : { permitIpRanges: permitIp }),
        ...(constrainUri === undefined ? {} : { constrainUris: constrainUri }),
      })
      const { intermediate } = info
      const left = formatDuration(intermediate.notAfter.getTime() - Date.now())
      terminal.print(
        options.json === true
          ? printableJson(info, 2)
          : columns([
              ['CA', info.dir],
              [
                'intermediate',
                [
                  `sha256 ${intermediate.fingerprint}`,
                  `until ${formatDate(intermediate.notAfter)}, ${left} left`,
                ],
              ],
            ]),
      )
      terminal.say(
        `what it issued before is good until ${formatDate(before.intermediate.notAfter)} at the latest: issue it again before that`,
      )
      terminal.say('next: mesh-pki crl --out crl.pem, where gateways read it')
    })
}
