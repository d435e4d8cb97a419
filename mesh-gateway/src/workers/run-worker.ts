/**
 * Runs a worker: one gateway that shares its ports with others. It starts with the data of its supervisor, answers its
 * requests, and ends on its command, or when the supervisor is gone: then it drains and leaves nothing behind.
 */
import type { Log } from '@clawmesh/agent-sdk/mesh'
import { type Asking, answerOf } from '../admin/api/facts.ts'
import type { Gateway } from '../gateway.ts'
import { createLimitsClient } from '../limits/limits-client.ts'
import { leanAsyncResource } from '../process/node-internals/lean-async-resource.ts'
import { releaseStartupMemory } from '../process/release-memory.ts'
import type { Terminal } from '../process/terminal.ts'
import { tuneHeap } from '../process/tune-heap.ts'
import { toFault } from './faults.ts'
import {
  cancelsFromSupervisor,
  liveFromSupervisor,
  ticketsFromSupervisor,
} from './from-supervisor.ts'
import type { FromWorker, Ready } from './messages.ts'
import { tokenFromSupervisor } from './shared-token.ts'
import { linkSupervisor } from './supervisor-link.ts'

export async function runWorker(terminal: Terminal): Promise<void> {
  const supervisor = linkSupervisor(terminal)
  const { post } = supervisor

  leanAsyncResource()
  tuneHeap()
  const [{ createGateway }, { createOperationalLog }] = await Promise.all([
    import('../gateway.ts'),
    import('../telemetry/operational-log.ts'),
  ])
  releaseStartupMemory()
  post({ kind: 'hello' })
  const begin = await Promise.race([supervisor.begun, supervisor.gone])
  if (begin === null) return terminal.exit(1)
  const log = createOperationalLog(begin.live.log.level, undefined, { worker: begin.worker })

  const asked = createLimitsClient({ send: (questions) => post({ kind: 'questions', questions }) })
  const live = liveFromSupervisor(begin.live, log)
  live.onChange((next) => log.setLevel(next.log.level))
  const tickets = ticketsFromSupervisor(begin.tickets, log)
  const cancels = cancelsFromSupervisor((cancel) => void post({ kind: 'cancel', cancel }), log)
  const token = begin.config.keys.pkcs11 === null ? null : tokenFromSupervisor(post)
  let { passedOn } = begin
  const made = Promise.withResolvers<Gateway>()
  const withGateway = (use: (gateway: Gateway) => Promise<unknown>) =>
    void made.promise.then(use).catch(crash)
  // a failing metric must not end the worker; the supervisor sees that it does not answer
  const report = (gateway: Gateway) =>
    reportOf(gateway).then(post, (err: unknown) => log.error({ err }, 'no report could be made'))
  const tell = answerQuestions(post, log)
  supervisor.hear((message) => {
    if (message.kind === 'answers') asked.answered(message.answers)
    else if (message.kind === 'config') live.set(message.config)
    else if (message.kind === 'tickets') tickets.set(message.keys)
    else if (message.kind === 'cancel') cancels.tell(message.cancel)
    else if (message.kind === 'signed') token?.answered(message)
    else if (message.kind === 'passed-on') passedOn = message.ok
    else if (message.kind === 'reload') withGateway((gateway) => reload(gateway, message.id, post))
    else if (message.kind === 'report') withGateway(report)
    else if (message.kind === 'ask')
      withGateway((gateway) => tell(gateway, message.id, message.asking))
  })
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
        cancels,
        token,
        passedOn: () => passedOn,
      },
    })
  } catch (error) {
    supervisor.postLast({ kind: 'failed', ...toFault(error) }, () => terminal.exit(1))
    return
  }
  terminal.process.on('uncaughtException', crash)
  made.resolve(gateway)
  void supervisor.gone.then(() => {
    asked.close()
    void token?.close()
    log.warn({}, 'the supervisor has gone; this worker drains and ends')
  })
  post(readyOf(gateway))
  const graceMs = await supervisor.ended
  await gateway.drain(graceMs ?? undefined)
  terminal.exit(0)
}

async function reload(
  gateway: Gateway,
  id: number,
  post: (message: FromWorker) => boolean,
): Promise<void> {
  await gateway.reload()
  post({ kind: 'reloaded', id, faults: gateway.degraded() })
}

/** Answers questions of the admin port, which get no answer when that fails. */
function answerQuestions(post: (message: FromWorker) => boolean, log: Pick<Log, 'error'>) {
  return (gateway: Gateway, id: number, asking: Asking) =>
    answerOf(gateway.facts, asking).then(
      (fact) => post({ kind: 'fact', id, fact }),
      (err: unknown) => {
        log.error({ err }, 'a question of the admin port could not be answered')
        post({ kind: 'fact', id, fact: null })
      },
    )
}

function readyOf(gateway: Gateway): Ready {
  const { identity, certificateNotAfter, addresses } = gateway
  return {
    kind: 'ready',
    identity: identity.id,
    notAfterMs: certificateNotAfter.getTime(),
    addresses,
    names: gateway.names(),
  }
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
