/** `mesh-pki sign`: signs a certificate signing request. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { readBounded } from '../disk/read-bounded.ts'
import { replaceFile } from '../disk/replace-file.ts'
import { MAX_CSR_BYTES } from '../x509/read-csr.ts'
import { type CaOptions, openCaOf, withCaOptions } from './ca-options.ts'
import { printIssued } from './print-issued.ts'
import type { Terminal } from './terminal.ts'
import { parseDuration } from './values.ts'

interface CsrOptions extends CaOptions {
  readonly csr: string
  readonly tenant?: string[]
  readonly agent?: string
  readonly gateway?: string
  readonly dns?: string[]
  readonly out?: string
  readonly ttl?: number
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \\
      -keyout tls.key -subj / -out planner.csr
  $ mesh-pki sign --csr planner.csr --tenant acme --agent planner --out tls.crt
  $ mesh-pki sign --csr gw.csr --gateway gw --tenant acme globex > tls.crt

Of the request the public key is taken and nothing else; it may ask for its own
names only.`

export function addSign(program: Command, terminal: Terminal): void {
  const command: Command = withCaOptions(program.command('sign'))
    .description('certify the key of a request; the key itself never leaves its owner')
    .requiredOption('--csr <file>', 'the request, PKCS #10 in PEM')
    .option('--tenant <tenant...>', 'tenant of the agent; tenants of a gateway')
    .option('--agent <agent>', 'name of the agent')
    .option('--gateway <name>', 'name of the gateway, instead of --agent')
    .option('--dns <name...>', 'further DNS names, where the CA permits them')
    .option('--ttl <duration>', 'how long it is good for, e.g. 1h (default: 24h)', parseDuration)
    .option('--out <file>', 'file to write or replace (default: the certificate goes to stdout)')
    .option('--json', 'print the facts as JSON; needs --out')
    .addHelpText('after', EXAMPLES)
    .action(async (options: CsrOptions) => {
      const who = subjectOf(options)
      if (typeof who === 'string') return command.error(`error: ${who}`)
      if (options.json === true && options.out === undefined)
        return command.error('error: --json needs --out')
      const csrPem = await readBounded(options.csr, MAX_CSR_BYTES, 'MESH_PKI_CSR_REFUSED')
      const ca = await openCaOf(terminal, options)
      const lifetime = options.ttl === undefined ? {} : { ttlMs: options.ttl }
      const issued = ca.sign({ csrPem, ...who, ...lifetime })
      if (options.out === undefined) {
        terminal.print(issued.certificateChain.trimEnd())
        return
      }
      const where = resolve(options.out)
      await replaceFile(where, issued.certificateChain, 0o644)
      printIssued(terminal, issued, { where, json: options.json === true, wantedMs: options.ttl })
    })
}

type Subject =
  | { tenant: string; agent: string; extraDnsNames: string[] }
  | { name: string; tenants: string[]; dnsNames: string[] }

/** The subject, or what is wrong with the options. */
function subjectOf({ tenant = [], agent, gateway, dns = [] }: CsrOptions): Subject | string {
  if ((agent === undefined) === (gateway === undefined)) return 'give either --agent or --gateway'
  if (gateway !== undefined) return { name: gateway, tenants: tenant, dnsNames: dns }
  const [only, ...more] = tenant
  if (agent === undefined || only === undefined || more.length > 0)
    return 'an agent has one tenant: --tenant TENANT'
  return { tenant: only, agent, extraDnsNames: dns }
}
