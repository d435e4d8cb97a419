/** `mesh-pki init`: creates a CA. */
import { printableJson, Secret } from '@clawmesh/proto'
import { columns } from '@clawmesh/proto/command-line'
import type { Command } from 'commander'
import { initCa } from '../ca/init-ca.ts'
import { formatDate, formatDuration } from '../verify/words.ts'
import { type CaOptions, caDirectory, withCaOptions } from './ca-options.ts'
import { readPassphrase } from './passphrase.ts'
import type { Terminal } from './terminal.ts'
import { collectDomains, collectIpRanges, parseDays, parseDomain } from './values.ts'

interface InitOptions extends CaOptions {
  readonly trustDomain: string
  readonly meshDomain?: string
  readonly permitDns?: readonly string[]
  readonly permitIp?: readonly string[]
  readonly constrainUri?: boolean
  readonly rootDays?: number
  readonly intermediateDays?: number
  readonly pkcs11?: string
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ mesh-pki init --trust-domain mesh.internal
  $ mesh-pki init --trust-domain mesh.internal \\
      --dir /srv/ca --passphrase-file pass.txt
  $ mesh-pki init --trust-domain mesh.internal \\
      --permit-dns localhost --permit-ip 127.0.0.0/8`

export function addInit(program: Command, terminal: Terminal): void {
  withCaOptions(program.command('init'))
    .description('make a CA: an encrypted root and an intermediate that issues for the mesh only')
    .requiredOption('--trust-domain <name>', 'e.g. mesh.internal', parseDomain)
    .option('--mesh-domain <name>', 'peer names end in it (default: the trust domain)', parseDomain)
    .option(
      '--permit-dns <domain...>',
      'further DNS domains that certificates may name',
      collectDomains,
    )
    .option(
      '--permit-ip <cidr...>',
      'IP ranges that certificates may name (default: none)',
      collectIpRanges,
    )
    .option(
      '--constrain-uri',
      'let the intermediate issue for SPIFFE IDs of the trust domain only; rustls and Python then accept none',
    )
    .option('--root-days <days>', 'life of the root (default: 3650)', parseDays)
    .option('--intermediate-days <days>', 'life of the intermediate (default: 365)', parseDays)
    .option(
      '--pkcs11 <uri>',
      'make the keys in a token: pkcs11:token=…?module-path=…&pin-source=file:…',
    )
    .option('--json', 'print the facts as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (options: InitOptions) => {
      const dir = caDirectory(terminal, options)
      const { pkcs11 } = options
      const passphrase =
        pkcs11 === undefined
          ? await readPassphrase(terminal, options.passphraseFile, true)
          : new Secret('')
      const { trustDomain, meshDomain, permitDns, permitIp, rootDays, intermediateDays } = options
      const { constrainUri: constrainUris } = options
      const info = await initCa({
        dir,
        trustDomain,
        passphrase,
        ...(pkcs11 === undefined ? {} : { pkcs11 }),
        ...(meshDomain === undefined ? {} : { meshDomain }),
        ...(permitDns === undefined ? {} : { permitDnsDomains: permitDns }),
        ...(permitIp === undefined ? {} : { permitIpRanges: permitIp }),
        ...(constrainUris === undefined ? {} : { constrainUris }),
        ...(rootDays === undefined ? {} : { rootDays }),
        ...(intermediateDays === undefined ? {} : { intermediateDays }),
      })
      const until = (end: Date) =>
        `until ${formatDate(end)}, ${formatDuration(end.getTime() - Date.now())} left`
      terminal.print(
        options.json === true
          ? printableJson(info, 2)
          : columns([
              ['CA', info.dir],
              ['trust domain', info.trustDomain],
              ['mesh domain', info.meshDomain],
              ['root', [`sha256 ${info.root.fingerprint}`, until(info.root.notAfter)]],
              [
                'intermediate',
                [`sha256 ${info.intermediate.fingerprint}`, until(info.intermediate.notAfter)],
              ],
            ]),
      )
      terminal.say(
        pkcs11 === undefined
          ? 'root.key is needed for `mesh-pki renew intermediate` and `mesh-pki crl --root-key` only: keep it off this machine'
          : 'both keys are in the token: root.key and intermediate.key name them',
      )
      terminal.say('next: mesh-pki issue agent --tenant acme --agent planner --out planner')
    })
}
