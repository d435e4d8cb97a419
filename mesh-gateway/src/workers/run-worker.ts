/**
 * Runs a worker: one gateway that shares its ports with others. It starts with the data of its supervisor, answers its
 * requests, and ends on its command, or when the supervisor is gone: then it drains and leaves nothing behind.
 */
import cluster from 'node:cluster'
import { MeshError } from '@clawmesh/proto'
import type { Gateway } from '../gateway.ts'
import { createLimitsClient } from '../limits/limits-client.ts'
import { leanAsyncResource } from '../process/node-internals/lean-async-resource.ts'
import { releaseStartupMemory } from '../process/release-memory.ts'
import type { Terminal } from '../process/terminal.ts'
import { tuneHeap } from '../process/tune-heap.ts'
import { liveFromSupervisor, ticketsFromSupervisor } from './from-supervisor.ts'
import { type Begin, type Failed, type FromWorker, isToWorker, type ToWorker } from './messages.ts'

export async function runWorker(terminal: Terminal): Promise<void> {
  const begun = Promise.withResolvers<Begin>()
  /** The grace period for open work; null: as configured. */
  const ended = Promise.withResolvers<number | null>()
  /** Messages from before the handler was set. */
  const early: ToWorker[] = []
  let hear = (message: ToWorker) => void early.push(message)
  terminal.process.on('message', (message: unknown) => {
    if (!isToWorker(message)) return
    if (message.kind === 'begin') {
      // it contains the current state; earlier messages are older
      early.length = 0
      begun.resolve(message)
    } else if (message.kind === 'drain') ended.resolve(message.graceMs)
    else hear(message)
  })
  // a terminal sends Ctrl-C to every process: the supervisor decides
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) terminal.process.on(signal, () => {})
  const { worker } = cluster
  if (worker === undefined) throw new TypeError('a worker is started by `mesh-gateway start`')
  const orphaned = Promise.withResolvers<null>()
  worker.on('disconnect', () => {
    // otherwise Node ends the process here, with its open calls
    worker.exitedAfterDisconnect = true
    orphaned.resolve(null)
    ended.resolve(null)
  })
  // earlier imports may have unreferenced it
  process.channel?.ref()
  const post = (message: FromWorker): boolean => {
    if (!worker.isConnected()) return false
    worker.send(message, () => {})
    return true
  }

  leanAsyncResource()
  tuneHeap()
  const [{ createGateway }, { createOperationalLog }] = await Promise.all([
    import('../gateway.ts'),
    import('../telemetry/operational-log.ts'),
  ])
  releaseStartupMemory()
  post({ kind: 'hello' })
  const begin = await Promise.race([begun.promise, orphaned.promise])
  if (begin === null) return terminal.exit(1)
  const log = createOperationalLog(begin.live.log.level, undefined, { worker: begin.worker })

  const asked = createLimitsClient({ send: (questions) => post({ kind: 'questions', questions }) })
  const live = liveFromSupervisor(begin.live, log)
  live.onChange((next) => log.setLevel(next.log.level))
  const tickets = ticketsFromSupervisor(begin.tickets, log)
  let { passedOn } = begin
  const made = Promise.withResolvers<Gateway>()
  const withGateway = (use: (gateway: Gateway) => Promise<unknown>) =>
    void made.promise.then(use).catch(crash)
  hear = (message) => {
    if (message.kind === 'answers') asked.answered(message.answers)
    else if (message.kind === 'config') live.set(message.config)
    else if (message.kind === 'tickets') tickets.set(message.keys)
    else if (message.kind === 'passed-on') passedOn = message.ok
    else if (message.kind === 'reload') withGateway((gateway) => gateway.reload())
    else if (message.kind === 'report') withGateway(report)
  }
  // a failing metric must not end the worker; the supervisor sees that it does not answer
  const report = (gateway: Gateway) =>
    reportOf(gateway).then(post, (err: unknown) => log.error({ err }, 'no report could be made'))
  for (const message of early) hear(message)
  let gateway: Gateway | null = null
  const crash = (error: unknown) => {
    // the state is unknown now: log the reason and exit, the supervisor starts a new worker
    log.error({ err: error }, 'a fault of the gateway; this worker ends')
    gateway?.flushAuditSync()
    terminal.exit(1)
  }
  try {
    gateway = await createGateway(begin.config, {
      log,
      follow: async () => live,
      together: {
        admin: begin.admin,
        counting: asked,
        ticketKeys: tickets,
        passedOn: () => passedOn,
      },
    })
  } catch (error) {
    worker.send(failed(error), () => terminal.exit(1))
    return
  }
  terminal.process.on('uncaughtException', crash)
  made.resolve(gateway)
  void orphaned.promise.then(() => {
    asked.close()
    log.warn({}, 'the supervisor has gone; this worker drains and ends')
  })
  const { identity, certificateNotAfter, addresses } = gateway
  post({
    kind: 'ready',
    identity: identity.id,
    notAfterMs: certificateNotAfter.getTime(),
    addresses,
    names: gateway.names(),
  })
  const graceMs = await ended.promise
  await gateway.drain(graceMs ?? undefined)
  terminal.exit(0)
}

async function reportOf(gateway: Gateway): Promise<FromWorker> {
  return {
    kind: 'report',
    report: {
      missing: gateway.missing(),
      degraded: gateway.degraded(),
      status: gateway.status(),
      names: gateway.names(),
      metrics: await gateway.metrics.registry.getMetricsAsJSON(),
    },
  }
}

function failed(error: unknown): Failed {
  if (error instanceof MeshError)
    return { kind: 'failed', code: error.code, message: error.message, hint: error.hint }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { kind: 'failed', code: null, message, hint: '' }
}
