/** `mesh-pki issue agent` and `mesh-pki issue gateway`: issue an identity. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Issued } from '../ca/issue.ts'
import { writeIdentity } from '../identity/write-identity.ts'
import { type CaOptions, openCaOf, withCaOptions } from './ca-options.ts'
import { printIssued } from './print-issued.ts'
import type { Terminal } from './terminal.ts'
import { parseDuration } from './values.ts'

interface LeafOptions extends CaOptions {
  readonly out: string
  readonly ttl?: number
  readonly dns?: string[]
  readonly ip?: string[]
  readonly json?: boolean
}

interface AgentOptions extends LeafOptions {
  readonly tenant: string
  readonly agent: string
}

interface GatewayOptions extends LeafOptions {
  readonly name: string
  readonly tenant?: string[]
}

const EXAMPLES = `
Examples:
  $ mesh-pki issue agent --tenant acme --agent planner --out planner
  $ mesh-pki issue agent --tenant acme --agent planner --ttl 1h --out planner
  $ mesh-pki issue gateway --name gw --tenant acme globex --out gw

Issued again into the same directory, it is renewed in one step.`

export function addIssue(program: Command, terminal: Terminal): void {
  const issue = program
    .command('issue')
    .description('make a key and a certificate: tls.crt, tls.key and ca.crt in one step')
    .helpCommand(false)
    .addHelpText('after', EXAMPLES)

  withLeafOptions(issue.command('agent'))
    .description('for an agent')
    .requiredOption('--tenant <tenant>', 'tenant of the agent')
    .requiredOption('--agent <agent>', 'name of the agent')
    .addHelpText('after', EXAMPLES)
    .action(async (options: AgentOptions) => {
      const { tenant, agent, dns = [], ip = [] } = options
      const ca = await openCaOf(terminal, options)
      const request = { tenant, agent, extraDnsNames: dns, ipAddresses: ip, ...lifetime(options) }
      await write(terminal, options, ca.issueAgent(request))
    })

  withLeafOptions(issue.command('gateway'))
    .description('for a gateway')
    .requiredOption('--name <name>', 'name of the gateway')
    .option(
      '--tenant <tenant...>',
      'tenants it serves: it speaks to and for their agents only (default: all tenants)',
    )
    .addHelpText('after', EXAMPLES)
    .action(async (options: GatewayOptions) => {
      const { name, tenant: tenants = [], dns = [], ip = [] } = options
      const ca = await openCaOf(terminal, options)
      const request = { name, tenants, dnsNames: dns, ipAddresses: ip, ...lifetime(options) }
      await write(terminal, options, ca.issueGateway(request))
    })
}

function withLeafOptions(command: Command): Command {
  return withCaOptions(command)
    .requiredOption('--out <dir>', 'directory to write; a later issue replaces it in one step')
    .option('--ttl <duration>', 'how long it is good for, e.g. 1h (default: 24h)', parseDuration)
    .option('--dns <name...>', 'further DNS names, where the CA permits them')
    .option('--ip <address...>', 'IP addresses, where the CA permits them')
    .option('--json', 'print the facts as JSON')
}

function lifetime({ ttl }: LeafOptions): { ttlMs?: number } {
  return ttl === undefined ? {} : { ttlMs: ttl }
}

async function write(terminal: Terminal, options: LeafOptions, issued: Issued): Promise<void> {
  const dir = resolve(options.out)
  await writeIdentity(dir, issued)
  printIssued(terminal, issued, {
    where: dir,
    json: options.json === true,
    wantedMs: options.ttl,
  })
}
