/** `mesh-gateway start`: runs until a signal, shuts down gracefully, and exits with 0. */

import { columns } from '@clawmesh/proto/command-line'
import type { Command } from 'commander'
import type { Missing } from '../admin/status-page.ts'
import { formatConfig } from '../config/format-config.ts'
import { followConfig, type LiveConfig, readConfig } from '../config/live-config.ts'
import { type Config, workersOf } from '../config/schema.ts'
import type { MaybePromise } from '../limits/limits.ts'
import { formatListenAddress } from '../net/listen-address.ts'
import type { PortAddresses } from '../net/own-addresses.ts'
import type { ListenAddress } from '../net/port.ts'
import { leanAsyncResource } from '../process/node-internals/lean-async-resource.ts'
import { NO_NODE_PATCHES, patchesNode } from '../process/node-internals/switch.ts'
import { releaseStartupMemory } from '../process/release-memory.ts'
import { openServiceManager, type ServiceManager } from '../process/service-manager.ts'
import { listenForSignals, type Signals } from '../process/signals.ts'
import type { Terminal } from '../process/terminal.ts'
import { refuseWithoutTlsChecks } from '../process/tls-environment.ts'
import { tuneHeap } from '../process/tune-heap.ts'
import { checkMemory } from '../process/watch-memory.ts'
import type { Metrics } from '../telemetry/metrics-port.ts'
import type { OperationalLog } from '../telemetry/operational-log.ts'
import { VERSION } from '../version.ts'
import { addConfigOptions, configPlace } from './config-options.ts'

const EXAMPLES = `
Examples:
  $ mesh-gateway start --config gateway.json
  $ mesh-gateway start --config gateway.json --egress-listen 0.0.0.0:8080
  $ mesh-gateway start --config gateway.json --workers auto
  $ MESH_CONFIG=gateway.json MESH_DRAIN_MS=1m mesh-gateway start --print-config

Flags win over MESH_ variables, which win over the file. SIGTERM and SIGINT
drain, a second one ends at once; SIGHUP reads everything anew and opens the
audit log again.`

/** What closing takes after the grace period, in milliseconds. */
const CLOSING_MS = 10_000

/** A running gateway, of one process or several. */
interface Started {
  readonly identity: { readonly id: string }
  readonly certificateNotAfter: Date
  readonly addresses: PortAddresses
  missing(): MaybePromise<readonly Missing[]>
  degraded(): MaybePromise<readonly Missing[]>
  /** Resolves when everything has been read anew: what could not be read. */
  reload(): Promise<readonly Missing[]>
  drain(): Promise<void>
  /** Writes synchronously, at the end of a crashing process. */
  flushAuditSync(): void
  /** Ends at once what would outlive this process. */
  kill(): void
}

export function addStart(program: Command, terminal: Terminal): void {
  const command = program
    .command('start')
    .description('run the gateway')
    .option('--print-config', 'show the configuration as it is read, and end')
    .addHelpText('after', EXAMPLES)
  addConfigOptions(command, null).action(async (options: Readonly<Record<string, unknown>>) => {
    const place = configPlace(options, terminal, null)
    const { config, warnings } = await readConfig(place)
    for (const warning of warnings) terminal.say(`warning: ${warning}`)
    if (options.printConfig === true) return terminal.print(formatConfig(config).trimEnd())

    refuseWithoutTlsChecks(terminal.env)
    checkMemory(workersOf(config))
    const signals = listenForSignals(terminal)
    try {
      const { createOperationalLog } = await import('../telemetry/operational-log.ts')
      const log = createOperationalLog(config.log.level)
      log.info({ version: VERSION, node: process.versions.node }, 'mesh-gateway starts')
      if (!patchesNode(terminal.env)) log.info({}, `${NO_NODE_PATCHES}: Node is not patched`)
      let current = config
      const follow = async (metrics: Pick<Metrics, 'reload'>) => {
        const live = await followConfig(place, config, { log, metrics })
        live.onChange((next) => {
          current = next
          log.setLevel(next.log.level)
        })
        return live
      }
      const workers = workersOf(config)
      const start = workers === 1 ? startAlone : startTogether
      const gateway = await start(config, { log, follow, workers })
      await announce(gateway, config, workers, terminal)
      const manager = openServiceManager({ env: terminal.env, log })
      try {
        const drainMs = () => current.drainMs
        await run(gateway, { log, signals, terminal, manager, drainMs })
      } finally {
        manager.close()
      }
    } finally {
      signals.close()
    }
  })
}

interface StartOptions {
  readonly log: OperationalLog
  readonly follow: (metrics: Pick<Metrics, 'reload'>) => Promise<LiveConfig>
  readonly workers: number
}

async function startAlone(config: Config, options: StartOptions): Promise<Started> {
  leanAsyncResource()
  tuneHeap()
  // loaded on demand: the other commands and the help do not need it
  const { createGateway } = await import('../gateway.ts')
  releaseStartupMemory()
  const gateway = await createGateway(config, options)
  const reload = async () => {
    await gateway.reload()
    return gateway.degraded()
  }
  return { ...gateway, reload, kill() {} }
}

/** Loads nothing of the gateway itself: its workers do. */
async function startTogether(config: Config, options: StartOptions): Promise<Started> {
  const { startSupervisor } = await import('../workers/supervisor.ts')
  releaseStartupMemory()
  const supervisor = await startSupervisor(config, options)
  // workers notice the crash of their supervisor: they drain, and write their records
  return { ...supervisor, flushAuditSync() {} }
}

interface RunOptions {
  readonly log: OperationalLog
  readonly signals: Signals
  readonly terminal: Terminal
  readonly manager: ServiceManager
  /** How long open work may take after a signal, in milliseconds. */
  readonly drainMs: () => number
}

async function run(gateway: Started, options: RunOptions): Promise<void> {
  const { log, signals, terminal, manager, drainMs } = options
  const crash = (error: unknown) => {
    // the state is unknown now: log the reason and exit, the supervisor starts a new process
    log.error({ err: error }, 'a fault of the gateway; it ends')
    gateway.flushAuditSync()
    terminal.exit(1)
  }
  terminal.process.on('uncaughtException', crash)
  const tellReady = async () => manager.ready(await stateOf(gateway))
  let reloads = 0
  const reload = async () => {
    reloads += 1
    const own = reloads
    log.info({}, 'SIGHUP: reading everything anew')
    manager.reloading()
    const faults = await gateway.reload()
    if (faults.length === 0) log.info({}, 'everything has been read anew')
    else log.warn({ faults }, 'not everything could be read anew; the last good one is in force')
    // another one goes on
    if (own === reloads) await tellReady()
  }
  signals.onReload(() => void reload().catch(crash))
  signals.onAgain(() => gateway.kill())
  await tellReady()
  manager.follow(() => stateOf(gateway))
  const signal = await signals.ended
  terminal.say(`${signal}: draining; a second signal ends at once`)
  manager.stopping(drainMs() + CLOSING_MS)
  await gateway.drain()
  terminal.process.off('uncaughtException', crash)
  terminal.say('drained')
}

/** In one line: the first reason why it is not ready, or works with less than it should. */
async function stateOf(gateway: Started): Promise<string> {
  const [missing] = await gateway.missing()
  if (missing !== undefined) return `not ready: ${missing.what}: ${missing.reason}`
  const [degraded] = await gateway.degraded()
  return degraded === undefined ? 'ready' : `degraded: ${degraded.what}: ${degraded.reason}`
}

function egressUrl(address: ListenAddress, overTls: boolean): string {
  const where = formatListenAddress(address)
  // a socket has no URL
  if (address.path !== undefined) return overTls ? `${where}, TLS` : where
  return `${overTls ? 'https' : 'http'}://${where}`
}

async function announce(
  gateway: Started,
  config: Config,
  workers: number,
  terminal: Terminal,
): Promise<void> {
  const { addresses, identity, certificateNotAfter } = gateway
  const lines = columns([
    ['identity', `${identity.id}, until ${certificateNotAfter.toISOString()}`],
    ['egress', egressUrl(addresses.egress, config.egress.tls.dir !== null)],
    ['delegation', `grpcs://${formatListenAddress(addresses.delegation)}`],
    ...(workers === 1 ? [] : [['workers', String(workers)] as const]),
    ['admin', `http://${formatListenAddress(addresses.admin)}`],
    ...(addresses.health === null
      ? []
      : [['health', `http://${formatListenAddress(addresses.health)}`] as const]),
  ])
  for (const line of lines.split('\n')) terminal.say(line)
  for (const { what, reason } of await gateway.missing())
    terminal.say(`not ready: ${what}: ${reason}`)
  for (const { what, reason } of await gateway.degraded())
    terminal.say(`degraded: ${what}: ${reason}`)
}
