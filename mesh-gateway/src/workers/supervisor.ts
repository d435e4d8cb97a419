/**
 * Runs a gateway of several processes: workers serve the two ports, and this process accepts connections and hands them
 * out, counts limits for all, serves the admin port, and keeps the workers running. Carries no traffic itself. Needs a
 * process of its own: node:cluster is one per process.
 */
import cluster from 'node:cluster'
import { extname, join } from 'node:path'
import { createAdminPort } from '../admin/admin-port.ts'
import type { Missing, StatusRow } from '../admin/status-page.ts'
import type { LiveConfig } from '../config/live-config.ts'
import type { Config } from '../config/schema.ts'
import { createLimitsServer } from '../limits/limits-server.ts'
import { countHere } from '../limits/open-limits.ts'
import { closeUmaskToOthers, removeAbandoned } from '../net/listen.ts'
import type { ListenAddress } from '../net/port.ts'
import type { MetricsFormat } from '../telemetry/metrics-format.ts'
import type { OperationalLog } from '../telemetry/operational-log.ts'
import { collectReports, degradedOf, describeWorkers, missingOf } from './collect-reports.ts'
import { createMetricsGathering } from './gather-metrics.ts'
import { type KeptWorkers, keepWorkers, type WorkerHooks } from './keep-workers.ts'
import type { ToWorker } from './messages.ts'
import { createLinePasser } from './relay-lines.ts'
import { createSupervisorMetrics, type SupervisorMetrics } from './supervisor-metrics.ts'
import { type MadeTicketKeys, makeTicketKeys } from './ticket-keys.ts'
import { forkWorker } from './worker-link.ts'

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
  readonly addresses: Readonly<Record<'egress' | 'delegation' | 'admin', ListenAddress>>
  missing(): Promise<readonly Missing[]>
  degraded(): Promise<readonly Missing[]>
  reload(): Promise<void>
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
  const tickets = opened(ticketKeys ?? makeTicketKeys())
  const gathering = createMetricsGathering()
  let kept: KeptWorkers | null = null
  let names: readonly string[] = []
  let draining = false

  const ticketsInWords = () => tickets.current().reveal().toString('base64')
  const running = () => kept?.all() ?? []
  const tell = (message: ToWorker) => {
    for (const { link } of running()) link?.send(message)
  }
  const lines = opened(
    createLinePasser({
      onDropped: () => metrics.auditDropped(),
      onHealth(err) {
        if (err === null) log.info({}, 'what workers write to stdout is written again')
        else log.error({ err }, 'what workers write to stdout cannot be written')
        tell({ kind: 'passed-on', ok: err === null })
      },
    }),
  )
  const ask = async () => {
    const survey = await collectReports(running())
    names = survey.names ?? names
    return survey
  }
  const missing = async (): Promise<Missing[]> => {
    const found = missingOf(await ask())
    if (!draining) return found
    // workers that know already report it themselves
    const others = found.filter(({ what }) => what !== 'draining')
    return [...others, { what: 'draining', reason: 'the gateway is shutting down' }]
  }
  const degraded = async () => [...metrics.failedReloads(), ...degradedOf(await ask())]
  const status = async (): Promise<readonly StatusRow[]> => describeWorkers(await ask())
  const text = async (format: MetricsFormat) => {
    const answers = await ask()
    metrics.workers(answers.counts)
    return await gathering.text(await metrics.registry.getMetricsAsJSON(), answers.metrics, format)
  }
  const admin = opened(
    await createAdminPort({
      listen: config.admin.listen,
      names: () => [...live.current().delegation.names, ...names],
      metrics: { text },
      missing,
      degraded,
      status,
      connectionRefused: metrics.connectionRefused,
      log,
    }),
  )

  const fork = (index: number, hooks: WorkerHooks) => {
    const answering = createLimitsServer(counting)
    const link = forkWorker((message) => {
      if (message.kind === 'hello')
        link.send({
          kind: 'begin',
          worker: index,
          config,
          live: live.current(),
          admin: admin.address,
          tickets: ticketsInWords(),
          passedOn: lines.healthy(),
        })
      else if (message.kind === 'questions')
        void answering.answer(message.questions).then(
          (answers) => link.send({ kind: 'answers', answers }),
          // the worker gets no answer, and refuses
          (err: unknown) => log.error({ err, worker: index }, 'what a worker asked is no question'),
        )
      if (message.kind === 'ready') names = message.names
      hooks.onMessage(message)
    }, hooks.others)
    if (link.stdout !== null) void lines.pass(link.stdout)
    void link.ended.then(() => {
      answering.release()
      gathering.gone(link)
    })
    return link
  }

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
  const workers = await keepWorkers({ count, fork, log, onRestart: () => metrics.restarted() })
  kept = workers
  const tellTickets = () => tell({ kind: 'tickets', keys: ticketsInWords() })
  const tellConfig = (next: Config) => tell({ kind: 'config', config: next })
  tickets.onChange(tellTickets)
  live.onChange(tellConfig)
  // changes since each of them was started
  tellTickets()
  tellConfig(live.current())
  tell({ kind: 'passed-on', ok: lines.healthy() })
  const first = workers.all().find(({ ready }) => ready !== null)?.ready ?? null
  if (first === null) throw new TypeError('workers were kept before one was ready')

  const resources = opening.move()
  const kill = () => {
    for (const { link } of running()) link?.kill()
  }
  return {
    identity: { id: first.identity },
    certificateNotAfter: new Date(first.notAfterMs),
    addresses: { ...first.addresses, admin: admin.address },
    missing,
    degraded,
    async reload() {
      tell({ kind: 'reload' })
      await live.reload()
    },
    async drain(graceMs = live.current().drainMs) {
      draining = true
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
