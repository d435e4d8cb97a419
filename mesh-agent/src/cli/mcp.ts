/** `mesh-agent mcp`: the tools of the mesh for any agent host that speaks MCP. */
import { join, resolve } from 'node:path'
import type { Log } from '@clawmesh/agent-sdk'
import { type Command, Option } from 'commander'
import { stateHome } from '../identity/state-dir.ts'
import type { McpSessionOptions } from '../mcp/mcp-session.ts'
import type { ToolHost } from '../tools/tool-host.ts'
import {
  type AgentFlags,
  readAgentOptions,
  withAgentOptions,
  withStateOption,
} from './agent-options.ts'
import { onInterrupt, type Terminal } from './terminal.ts'
import { collect, parseCount, parseDuration, parseLoopback } from './values.ts'

interface Options extends AgentFlags {
  readonly listen?: { readonly host: string; readonly port: number }
  readonly secretFile?: string
  readonly allowOrigin?: readonly string[]
  readonly maxSessions: number
  readonly maxWait: number
  readonly workspace?: string
}

const EXAMPLES = `
Examples:
  $ claude mcp add clawmesh -- mesh-agent mcp --identity /etc/mesh --gateway gw:8443
  $ mesh-agent mcp --listen 127.0.0.1:7777       one process, many sessions

Over stdio it ends with its client. With --listen it speaks streamable HTTP at
/mcp; clients send "Authorization: Bearer " and the secret of --secret-file.
A call that the client cancels while mesh_delegate waits cancels the task; a task
whose id was given goes on.`

/** Clients give up after 60 s. */
const WAIT_MS = 45_000

export function addMcp(program: Command, terminal: Terminal): void {
  withStateOption(withAgentOptions(program.command('mcp')))
    .description('the tools of the mesh over MCP, on stdio or with --listen over HTTP')
    .option(
      '--listen <host:port>',
      'a loopback address: serve streamable HTTP there',
      parseLoopback,
    )
    .option('--secret-file <file>', 'what clients over HTTP must know; made if it is missing')
    .option('--allow-origin <origin>', 'a web page that may call; may be repeated', collect)
    .addOption(
      new Option('--max-sessions <count>', 'sessions over HTTP at once')
        .argParser(parseCount)
        .default(100, '100'),
    )
    .addOption(
      new Option('--max-wait <duration>', 'how long one call takes at most')
        .argParser(parseDuration)
        .default(WAIT_MS, '45s'),
    )
    .option('--workspace <dir>', "where files go (default: the client's directory)")
    .addHelpText('after', EXAMPLES)
    .action(async (options: Options) => {
      const [{ createToolHost }, { stderrLog }] = await Promise.all([
        import('../tools/tool-host.ts'),
        import('@clawmesh/agent-sdk'),
      ])
      // stdout is the client's: what is said goes to stderr
      const log: Log = stderrLog
      const host = createToolHost({
        agent: await readAgentOptions(options, log),
        stateDir: options.state,
        env: terminal.env,
        log,
      })
      const interrupt = onInterrupt(terminal)
      try {
        // what is wrong with the identity is told at once; a call says it to the model, and tries again
        await host.get().catch((error: unknown) => sayFault(error, terminal))
        await (options.listen === undefined
          ? overStdio(host, options, terminal, log, interrupt.signal)
          : overHttp(host, options.listen, options, terminal, log, interrupt.signal))
      } finally {
        interrupt.stop()
        await host.close()
      }
    })
}

function sayFault(error: unknown, { say }: Terminal): void {
  if (!(error instanceof Error)) throw error
  say(error.message)
  if ('hint' in error) say(`hint: ${String(error.hint)}`)
}

function sessionOf(host: ToolHost, options: Options, log: Log): Omit<McpSessionOptions, 'cwd'> {
  const { workspace, maxWait } = options
  return {
    ...{ host, log, maxWaitMs: maxWait },
    workspaceDir: workspace === undefined ? undefined : resolve(workspace),
  }
}

async function overStdio(
  host: ToolHost,
  options: Options,
  { stdin, stdout, cwd }: Terminal,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const { serveStdio } = await import('../mcp/serve-stdio.ts')
  await serveStdio({ ...sessionOf(host, options, log), cwd, stdin, stdout, signal })
}

async function overHttp(
  host: ToolHost,
  listen: NonNullable<Options['listen']>,
  options: Options,
  terminal: Terminal,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const [{ serveHttp }, { openMcpSecret }] = await Promise.all([
    import('../mcp/serve-http.ts'),
    import('../mcp/mcp-secret.ts'),
  ])
  const file = resolve(options.secretFile ?? join(stateHome(terminal.env), 'mcp-secret'))
  const door = await serveHttp({
    ...{ ...sessionOf(host, options, log), cwd: null, listen },
    secret: await openMcpSecret(file),
    origins: options.allowOrigin ?? [],
    maxSessions: options.maxSessions,
  })
  terminal.say(`listening on ${door.url}; the secret is in ${file}`)
  if (!signal.aborted)
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  await door.close()
}
