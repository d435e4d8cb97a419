/**
 * `mesh-gateway policy`: validates files, decides whether an agent may reach a destination, and learns from an audit
 * log.
 */
import { type Peer, printable, printableJson } from '@clawmesh/proto'
import { Command, InvalidArgumentError } from 'commander'
import { type Destination, readDestination } from '../policy/decide/explain-asked.ts'
import { countFaults, formatFault } from '../policy/index.ts'
import { reviewPolicy } from '../policy/review/review-policy.ts'
import type { Terminal } from '../process/terminal.ts'
import { plural } from '../text/plural.ts'
import {
  addPolicyPlace,
  answer,
  type CommandOutput,
  type PolicyPlace,
  parsePeer,
} from './explanation.ts'
import { replayCommand } from './policy-replay.ts'
import { suggestCommand } from './policy-suggest.ts'

const EXAMPLES = `
Examples:
  $ mesh-gateway policy check policy/
  $ mesh-gateway policy explain --agent acme/planner --to api.github.com
  $ mesh-gateway policy suggest --audit audit.log --out candidate
  $ mesh-gateway policy replay --audit audit.log --dir candidate`

interface ExplainOptions extends PolicyPlace {
  readonly agent: Peer
  readonly to: Destination
  readonly method?: string
  readonly path?: string
  readonly token?: string[]
  readonly withinChain?: true
  readonly json?: true
}

export function policyCommand(
  output: CommandOutput,
  place: Pick<Terminal, 'env' | 'cwd'>,
): Command {
  return new Command('policy')
    .description('validate policy files, ask what they allow, and make them from an audit log')
    .addCommand(checkCommand(output))
    .addCommand(explainEgressCommand(output, place))
    .addCommand(suggestCommand(output))
    .addCommand(replayCommand(output, place))
    .helpCommand(false)
    .addHelpText('after', EXAMPLES)
}

interface CheckOptions {
  readonly json?: true
  readonly tenantDirs?: string
}

function checkCommand(output: CommandOutput): Command {
  return new Command('check')
    .description('list every fault of every file of a policy directory')
    .argument('<dir>', 'directory of TENANT.json files and _global.json')
    .option('--tenant-dirs <dir>', 'holds TENANT/TENANT.json, in directories that tenants write')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ mesh-gateway policy check /etc/mesh/policy\n\nIt warns of rules that can never take effect; the exit code is 0 all the same.',
    )
    .action(async (dir: string, { json, tenantDirs }: CheckOptions) => {
      const { loading, warnings, verdicts } = await reviewPolicy({
        dir,
        tenantDirs: tenantDirs ?? null,
      })
      const { ignored } = loading
      const faults = loading.ok ? [] : loading.faults
      const files = loading.ok ? loading.snapshot.files.length : 0
      const tenants = loading.ok ? loading.snapshot.tenants.size : 0
      if (json)
        output.result(
          `${printableJson({ ok: loading.ok, dir, files, tenants, faults, warnings, verdicts, ignored })}\n`,
        )
      else if (loading.ok) {
        output.result(`${dir} is valid: ${plural(tenants, 'tenant')} in ${plural(files, 'file')}\n`)
        for (const warning of warnings) output.note(`warning: ${formatFault(warning)}`)
      } else output.result(faults.map((fault) => `${formatFault(fault)}\n`).join(''))
      if (!json) for (const one of ignored) output.note(`warning: ${formatFault(one)}`)
      if (loading.ok) return
      output.note(countFaults(faults))
      for (const { file, effect } of verdicts)
        if (effect !== null) output.note(printable(`${file}: ${effect}`))
      output.failed()
    })
}

function explainEgressCommand(
  output: CommandOutput,
  place: Pick<Terminal, 'env' | 'cwd'>,
): Command {
  return addPolicyPlace(new Command('explain'))
    .description('may an agent reach a destination, and why')
    .requiredOption('--agent <tenant/agent>', 'who asks', parsePeer)
    .requiredOption('--to <host[:port]>', 'where to; port 443 unless named', parseDestination)
    .option('--method <method>', 'of the request; without it and --path, a tunnel')
    .option('--path <path>', 'of the request; default / when a method is given')
    .option('--token <patterns...>', 'allowed_destinations of the token; default: the destination')
    .option('--within-chain', 'it acts within a chain that the gateway signed')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ mesh-gateway policy explain --agent acme/bot-01 --to api.openai.com\n  $ mesh-gateway policy explain --agent acme/bot-01 --to api.github.com \\\n      --method GET --path /repos/acme/site',
    )
    .action(async (options: ExplainOptions) => {
      const { agent, to, method, path, token = null } = options
      const request =
        method === undefined && path === undefined
          ? null
          : { method: method ?? 'GET', path: path ?? '/' }
      const withinChain = options.withinChain === true
      const asked = { agent, to, request, allowedDestinations: token, withinChain }
      await answer({ plane: 'egress', ...asked }, options, place, output)
    })
}

function parseDestination(text: string): Destination {
  const to = readDestination(text)
  if (to === null) throw new InvalidArgumentError('write a host and port, e.g. api.example.com:443')
  return to
}
