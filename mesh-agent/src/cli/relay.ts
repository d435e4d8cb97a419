/** `mesh-agent relay`: the way out for programs that can send a fixed credential and nothing better. */
import { join, resolve } from 'node:path'
import type { Readable } from 'node:stream'
import { MeshError, printable } from '@clawmesh/proto'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { stateDirOf } from '../identity/state-dir.ts'
import type { RelayEvent } from '../relay/run-relay.ts'
import { type AgentFlags, readAgentOptions, withAgentOptions } from './agent-options.ts'
import { onInterrupt, type Terminal } from './terminal.ts'
import { parseDuration } from './values.ts'

interface Options extends AgentFlags {
  readonly listen: string
  readonly secretFile?: string
  readonly allowOtherMachines?: true
  readonly untilStdinEnds?: true
  readonly drain: number
  readonly json?: true
}

const EXAMPLES = `
Examples:
  $ mesh-agent relay --egress http://127.0.0.1:8080
  $ echo "proxy-user = agent:$(cat relay.secret)" | curl -K - -x http://127.0.0.1:8081 https://api.example.com/

Programs use it as an HTTP proxy. They show the secret of --secret-file as the
password; the gateway sees a fresh token of the agent. Refusals arrive as the
gateway writes them. It starts and stays up while the gateway is away.
A second one for the same agent and address says that the first one runs, and
ends (exit code 0). With --until-stdin-ends it stands by, and takes over.`

export const DEFAULT_LISTEN = '127.0.0.1:8081'
const DRAIN_MS = 10_000

export function addRelay(program: Command, terminal: Terminal): void {
  withAgentOptions(program.command('relay'))
    .description('a local proxy with a local secret, to the egress port of the gateway')
    .addOption(
      new Option('--listen <host:port>', 'where programs reach it')
        .argParser(parseListen)
        .default(DEFAULT_LISTEN),
    )
    .option('--secret-file <file>', 'made if it is missing (default: by user and agent)')
    .option('--allow-other-machines', 'listen on more than loopback; all is in the clear')
    .option('--until-stdin-ends', 'end with the program that started it, however that ends')
    .addOption(
      new Option('--drain <duration>', 'how long open connections may go on at the end')
        .argParser(parseDuration)
        .default(DRAIN_MS, '10s'),
    )
    .option('--json', 'print what happens as JSON, a line each')
    .addHelpText('after', EXAMPLES)
    .action((options: Options) => relay(options, terminal))
}

async function relay(options: Options, terminal: Terminal): Promise<void> {
  const { listen, drain: drainMs, allowOtherMachines = false, untilStdinEnds = false } = options
  const [{ stderrLog }, { runRelay }] = await Promise.all([
    import('@clawmesh/agent-sdk'),
    import('../relay/run-relay.ts'),
  ])
  const place = await readAgentOptions(options, stderrLog)
  const { identity: dir, egress, gateway, egressPortCa } = place
  const identity = resolve(String(dir))
  const interrupt = onInterrupt(terminal)
  const stdin = untilStdinEnds ? endOf(terminal.stdin) : null
  try {
    await runRelay({
      ...{ identity, gateway, listen, drainMs, allowOtherMachines, log: stderrLog },
      egress: needEgress(egress),
      ...(typeof egressPortCa === 'string' ? { egressPortCa } : {}),
      secretFile: await secretFileOf(options, identity, terminal),
      standBy: untilStdinEnds,
      signal: stdin === null ? interrupt.signal : AbortSignal.any([interrupt.signal, stdin]),
      onEvent: (event) =>
        terminal.print(options.json === true ? JSON.stringify(event) : sentenceOf(event)),
    })
  } finally {
    interrupt.stop()
    terminal.stdin.pause()
  }
}

/** @throws MeshError MESH_CONFIG_INVALID */
function needEgress(egress: string | undefined): string {
  if (egress !== undefined) return egress
  throw new MeshError('MESH_CONFIG_INVALID', 'the relay needs an egress port', {
    hint: 'give --egress, or set MESH_AGENT_EGRESS, e.g. http://127.0.0.1:8080',
  })
}

/** @throws MeshError of the identity */
export async function secretFileOf(
  { secretFile }: { readonly secretFile?: string },
  identity: string,
  { env, cwd }: Pick<Terminal, 'env' | 'cwd'>,
): Promise<string> {
  if (secretFile !== undefined) return resolve(cwd, secretFile)
  const { agentOf } = await import('../identity/agent-of.ts')
  return join(stateDirOf(env, await agentOf(identity)), 'relay.secret')
}

function sentenceOf({ event, agent, listen, pid, secretFile }: RelayEvent): string {
  const where = `${printable(listen)}; its secret is in ${printable(secretFile)}`
  if (event === 'listening') return `the relay of ${agent} listens on ${where}`
  if (event === 'running') return `a relay of ${agent} runs already, process ${pid}, on ${where}`
  return `process ${pid} serves; this relay of ${agent} takes over when it ends, on ${where}`
}

/** Aborts when nobody holds the other end any more. */
function endOf(stdin: Readable): AbortSignal {
  const controller = new AbortController()
  const end = () => controller.abort()
  stdin.once('end', end).once('close', end).once('error', end).resume()
  return controller.signal
}

export function parseListen(text: string): string {
  const [, host = '', port = ''] = /^(\[[0-9a-fA-F:]+\]|[^\s:/[\]]+):(\d{1,5})$/.exec(text) ?? []
  if (host === '' || Number(port) > 65_535)
    throw new InvalidArgumentError('it must be host:port, e.g. 127.0.0.1:8081.')
  return text
}
