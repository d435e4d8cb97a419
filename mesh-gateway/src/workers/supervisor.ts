/**
 * Runs a gateway of several processes: workers serve the two ports, and this process accepts connections and hands them
 * out, counts limits for all, serves the admin port, and keeps the workers running. Carries no traffic itself. Needs a
 * process of its own: node:cluster is one per process.
 */
import cluster from 'node:cluster'
import { extname, join } from 'node:path'
import { openOperatorPorts } from '../admin/open-operator-ports.ts'
import type { Missing } from '../admin/status-page.ts'
import type { LiveConfig } from '../config/live-config.ts'
import type { Config } from '../config/schema.ts'
import { countHere } from '../limits/open-limits.ts'
import { closeUmaskToOthers, removeAbandoned } from '../net/listen.ts'
import type { PortAddresses } from '../net/own-addresses.ts'
import type { OperationalLog } from '../telemetry/operational-log.ts'
import { createForking } from './create-forking.ts'
import { createGatewayReports } from './gateway-reports.ts'
import { type KeptWorkers, keepWorkers } from './keep-workers.ts'
import type { Ready, ToWorker } from './messages.ts'
import { createLinePasser, type LinePasser } from './relay-lines.ts'
import { reloadWorkers, type WorkerFault } from './reload-workers.ts'
import { openSharedToken } from './shared-token.ts'
import { createSupervisorMetrics, type SupervisorMetrics } from './supervisor-metrics.ts'
import { type MadeTicketKeys, makeTicketKeys } from './ticket-keys.ts'

export interface SupervisorOptions {
  readonly workers: number
  readonly log: OperationalLog
  /** Follows the configuration while the gateway runs. */
  readonly follow: (metrics: Pick<SupervisorMetrics, 'reload'>) => Promise<LiveConfig>
  /** Default: created here, and renewed every four hours. */
  readonly ticketKeys?: MadeTicketKeys
}

export interface Supervisor {
  readonly identity: { readonly id: string }
  readonly certificateNotAfter: Date
  readonly addresses: PortAddresses
  missing(): Promise<readonly Missing[]>
  degraded(): Promise<readonly Missing[]>
  /** Resolves when every worker has read everything anew: what each of them, or the supervisor, could not read. */
  reload(): Promise<readonly (WorkerFault | Missing)[]>
  /** Graceful shutdown: lets open work end within graceMs (or as configured), then ends the workers and closes. */
  drain(graceMs?: number): Promise<void>
  /** Ends the workers at once, without closing the rest. */
  kill(): void
}

/** How long a worker may take after the grace period, in milliseconds. */
const MARGIN_MS = 5_000

/** @throws MeshError that says what is missing; nothing is then left running */
export async function startSupervisor(
  config: Config,
  { workers: count, log, follow, ticketKeys }: SupervisorOptions,
): Promise<Supervisor> {
  await using opening = new AsyncDisposableStack()
  const opened = <T extends { close(): void | Promise<void> }>(value: T): T =>
    opening.adopt(value, (one) => one.close())

  const metrics = opened(createSupervisorMetrics())
  const live = opened(await follow(metrics))
  const counting = countHere({
    maxTrees: config.limits.maxTrees,
    delegationTtlMs: () => live.current().tokens.delegationTtlMs,
  })
  const token = await openSharedToken(config.keys, log)
  opening.defer(() => token?.close())
  const tickets = opened(ticketKeys ?? makeTicketKeys())
  let kept: KeptWorkers | null = null

  const running = () => kept?.all() ?? []
  const tell = (message: ToWorker) => {
    for (const { link } of running()) link?.send(message)
  }
  const passedOn = (ok: boolean) => tell({ kind: 'passed-on', ok })
  const lines = opened(linesToStdout(metrics, log, passedOn))
  const reports = createGatewayReports({ running, live, counting, metrics })
  const { view } = reports
  const { connectionRefused } = metrics
  const ports = opened(await openOperatorPorts(config, { ...view, connectionRefused, log }))
  const { admin, health } = ports
  const fork = createForking({
    // the ports that are open, which no agent may reach
    ...{
      config: { ...config, health: { listen: health } },
      live,
      lines,
      counting,
      token,
      log,
      admin,
    },
    tickets: () => inBase64(tickets),
    tell,
    onReady: (names) => reports.setNames(names),
    onEnded: (link) => reports.gone(link),
  })
  await setUpCluster(config)
  const workers = await keepWorkers({ count, fork, log, onRestart: () => metrics.restarted() })
  kept = workers
  passOnChanges({ live, tickets, tell })
  passedOn(lines.healthy())
  const first = firstReady(workers)
  const resources = opening.move()
  const kill = () => {
    for (const { link } of running()) link?.kill()
  }
  return {
    identity: { id: first.identity },
    certificateNotAfter: new Date(first.notAfterMs),
    addresses: { ...first.addresses, admin, health },
    missing: view.missing,
    degraded: view.degraded,
    async reload() {
      // the configuration first: workers read their files by it
      await live.reload()
      const ofWorkers = await reloadWorkers(running())
      return [...metrics.failedReloads(), ...ofWorkers]
    },
    async drain(graceMs = live.current().drainMs) {
      reports.drain()
      const clock = setTimeout(kill, graceMs + MARGIN_MS)
      const ended = workers.ended()
      tell({ kind: 'drain', graceMs })
      await ended
      clearTimeout(clock)
      await resources.disposeAsync()
    },
    kill,
  }
}

/** Also those since each of them was started. */
function passOnChanges({
  live,
  tickets,
  tell,
}: {
  readonly live: LiveConfig
  readonly tickets: MadeTicketKeys
  readonly tell: (message: ToWorker) => void
}): void {
  const tellTickets = () => tell({ kind: 'tickets', keys: inBase64(tickets) })
  const tellConfig = (next: Config) => tell({ kind: 'config', config: next })
  tickets.onChange(tellTickets)
  live.onChange(tellConfig)
  tellTickets()
  tellConfig(live.current())
}

function inBase64(tickets: MadeTicketKeys): string {
  return tickets.current().reveal().toString('base64')
}

/** Writes what workers write to stdout. */
function linesToStdout(
  metrics: Pick<SupervisorMetrics, 'auditDropped'>,
  log: OperationalLog,
  passedOn: (ok: boolean) => void,
): LinePasser {
  return createLinePasser({
    onDropped: () => metrics.auditDropped(),
    onHealth(err) {
      if (err === null) log.info({}, 'what workers write to stdout is written again')
      else log.error({ err }, 'what workers write to stdout cannot be written')
      passedOn(err === null)
    },
  })
}

/** Says what is run as a worker, and how. */
async function setUpCluster(config: Config): Promise<void> {
  const { path } = config.egress.listen
  if (path !== undefined) {
    await removeAbandoned(path)
    // node:cluster creates the socket here, when a worker listens
    closeUmaskToOthers()
  }
  cluster.schedulingPolicy = cluster.SCHED_RR
  cluster.setupPrimary({
    exec: join(import.meta.dirname, `worker-main${extname(import.meta.filename)}`),
    args: [],
    // only whole lines may reach stdout; each worker writes stderr a line at a time
    stdio: ['ignore', config.audit.file === 'stdout' ? 'pipe' : 'inherit', 'inherit', 'ipc'],
  })
}

function firstReady(workers: KeptWorkers): Ready {
  const first = workers.all().find(({ ready }) => ready !== null)?.ready ?? null
  if (first === null) throw new TypeError('workers were kept before one was ready')
  return first
}
