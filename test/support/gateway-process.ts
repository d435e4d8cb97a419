/** The gateway as operators run it: the command mesh-gateway in a process of its own. */
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Ended, type RunningProcess, startProcess } from '../../scripts/dev/child-process.ts'
import { freePorts } from '../../scripts/dev/free-ports.ts'
import { waitUntilReady } from '../../scripts/dev/wait-until-ready.ts'
import { gatewayCommand } from './bundled-gateway.ts'
import { ONE_ROOT } from './one-root.ts'

export interface GatewayProcessOptions {
  /** Relative paths in the configuration are relative to it; gateway.json is written there. */
  readonly dir: string
  /** Merged into the configuration, section by section. */
  readonly config?: Readonly<Record<string, unknown>>
  /** Where it listens. Default: free ports. */
  readonly ports?: GatewayPorts
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>
  /** Called with each line that it prints. */
  readonly onLine?: (line: string) => void
}

export interface GatewayPorts {
  readonly delegation: number
  readonly egress: number
  readonly admin: number
}

export interface GatewayProcess {
  /** host:port of each listener. The same after a restart. */
  readonly delegation: string
  readonly egress: string
  readonly admin: string
  readonly configFile: string
  readonly auditFile: string
  readonly pid: number
  /** Resolves when the current process has ended. */
  readonly ended: Promise<Ended>
  /** What it printed last. */
  lastLines(): readonly string[]
  /** Ends it at once, as a crash would. */
  kill(): Promise<Ended>
  /** Starts it again after it has ended, at the same ports. Resolves when it is ready. */
  start(): Promise<void>
  /** SIGTERM: it drains. */
  stop(graceMs?: number): Promise<Ended>
}

const FORCED_MS = 15_000
/** Only a hang takes longer, on a machine that has much else to do too. */
const READY_MS = 90_000

/** Resolves when it is ready. @throws Error with its last lines when it ends instead */
export async function startGatewayProcess(options: GatewayProcessOptions): Promise<GatewayProcess> {
  const { dir } = options
  const ports = options.ports ?? (await freeGatewayPorts())
  const configFile = join(dir, 'gateway.json')
  const auditFile = join(dir, 'audit.jsonl')
  const config = merge(
    {
      trustDomain: 'mesh.internal',
      identity: { dir: 'gateway' },
      policy: { dir: 'policy' },
      keys: { dir: 'keys' },
      // on a slow machine any call is open for long: most tests count one record of each
      audit: { file: auditFile, openAfterMs: 3_600_000 },
      egress: { listen: `127.0.0.1:${ports.egress}` },
      delegation: { listen: `127.0.0.1:${ports.delegation}` },
      admin: { listen: `127.0.0.1:${ports.admin}` },
      reload: { pollMs: 200 },
      drainMs: 5_000,
    },
    options.config ?? {},
  )
  await writeFile(configFile, JSON.stringify(config, null, 2))
  if (namesList(config)) await beginList(configFile)
  const file = pathToFileURL(await gatewayCommand())

  let child: RunningProcess
  const start = async () => {
    child = startProcess({
      name: 'gateway',
      file,
      args: ['start', '--config', configFile],
      foreign: true,
      env: { ...ONE_ROOT, ...options.env },
      ...(options.onLine === undefined ? {} : { onLine: options.onLine }),
    })
    const { ended, lastLines } = child
    const tooEarly = ended.then(({ code, signal }) => {
      const how = signal ?? `exit code ${code}`
      throw new Error(`the gateway ended with ${how}:\n${lastLines().join('\n')}`)
    })
    // once it is ready, its end is for whoever waits for `ended`
    tooEarly.catch(() => {})
    const asking = new AbortController()
    const { signal } = asking
    const ready = waitUntilReady(`http://127.0.0.1:${ports.admin}/ready`, {
      signal,
      withinMs: READY_MS,
    })
    ready.catch(() => {})
    await Promise.race([ready, tooEarly]).finally(() => asking.abort())
  }
  await start()
  return {
    delegation: `127.0.0.1:${ports.delegation}`,
    egress: `127.0.0.1:${ports.egress}`,
    admin: `127.0.0.1:${ports.admin}`,
    configFile,
    auditFile,
    get pid() {
      return child.pid
    },
    get ended() {
      return child.ended
    },
    lastLines: () => child.lastLines(),
    kill: () => child.stop(0),
    start,
    stop: (graceMs = FORCED_MS) => child.stop(graceMs),
  }
}

function namesList({ revocation }: Readonly<Record<string, unknown>>): boolean {
  return isSection(revocation) && typeof revocation.list === 'string'
}

/** As an operator does once, before the first start. */
async function beginList(configFile: string): Promise<void> {
  // loads the gateway, which most tests do without
  const { runHere } = await import('../mesh-gateway/cli/run-here.ts')
  const { code, stderr } = await runHere(dirname(configFile), [
    ...['revoke', '--new', '--config', configFile],
  ])
  if (code !== 0) throw new Error(stderr)
}

export async function freeGatewayPorts(): Promise<GatewayPorts> {
  const [delegation = 0, egress = 0, admin = 0] = await freePorts(3)
  return { delegation, egress, admin }
}

function merge(
  base: Readonly<Record<string, unknown>>,
  more: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(more)) {
    const before = merged[key]
    merged[key] = isSection(before) && isSection(value) ? merge(before, value) : value
  }
  return merged
}

function isSection(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
