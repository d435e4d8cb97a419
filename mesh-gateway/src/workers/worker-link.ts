/** The supervisor's connection to one worker process. */
import cluster, { type Worker } from 'node:cluster'
import type { Readable } from 'node:stream'
import type { Asking, Answer as Fact, Kind } from '../admin/api/facts.ts'
import type { Missing } from '../admin/status-page.ts'
import { rescueConnections } from '../process/node-internals/rescue-connections.ts'
import { createAwaitedAnswers } from './awaited-answers.ts'
import { type FromWorker, isFromWorker, type Report, type ToWorker } from './messages.ts'

export interface WorkerLink {
  /** 0 when no process could be started. */
  readonly pid: number
  /** Null: it shares the supervisor's. */
  readonly stdout: Readable | null
  /** Resolves when it has ended and all its output has been read. */
  readonly ended: Promise<Ended>
  /** False once nothing can be sent to it, which is known before its end. */
  connected(): boolean
  send(message: ToWorker): void
  /** Null without an answer in time. */
  report(withinMs: number): Promise<Report | null>
  /** Null without an answer in time. */
  ask(asking: Asking, withinMs: number): Promise<Fact[Kind] | null>
  /** Has it read everything anew: what it could not read; null without an answer in time. */
  reload(withinMs: number): Promise<readonly Missing[] | null>
  /** Ends it at once. */
  kill(): void
}

export interface Ended {
  readonly code: number | null
  readonly signal: string | null
}

/**
 * Forks the program that cluster.setupPrimary has set.
 * @param others whether another worker could take its connections
 */
export function forkWorker(
  onMessage: (message: FromWorker) => void,
  others: () => boolean,
): WorkerLink {
  const worker = cluster.fork()
  const { process } = worker
  const waiting = new Set<(report: Report | null) => void>()
  rescueConnections(worker, others)
  let asked = false
  const facts = createAwaitedAnswers<Fact[Kind]>()
  const reloads = createAwaitedAnswers<readonly Missing[]>()

  function reported(report: Report | null): void {
    asked = false
    for (const answer of waiting) answer(report)
  }

  const link: WorkerLink = {
    pid: process.pid ?? 0,
    stdout: process.stdout,
    ended: whenEnded(worker).finally(() => {
      reported(null)
      facts.end()
      reloads.end()
    }),
    connected: () => worker.isConnected(),
    send(message) {
      // a worker that has left gets no message; its end is noticed separately
      if (worker.isConnected()) worker.send(message, () => {})
    },
    report(withinMs) {
      const { promise, resolve } = Promise.withResolvers<Report | null>()
      const clock = setTimeout(() => resolve(null), withinMs)
      // a worker that has not answered yet is not asked again
      if (!asked) link.send({ kind: 'report' })
      asked = true
      waiting.add(resolve)
      return promise.finally(() => {
        clearTimeout(clock)
        waiting.delete(resolve)
      })
    },
    ask(asking, withinMs) {
      if (!worker.isConnected()) return Promise.resolve(null)
      return facts.ask((id) => link.send({ kind: 'ask', id, asking }), withinMs)
    },
    reload(withinMs) {
      if (!worker.isConnected()) return Promise.resolve(null)
      return reloads.ask((id) => link.send({ kind: 'reload', id }), withinMs)
    },
    kill() {
      process.kill('SIGKILL')
    },
  }
  worker.on('message', (message: unknown) => {
    if (!isFromWorker(message)) return
    if (message.kind === 'report') reported(message.report)
    else if (message.kind === 'fact') facts.answered(message.id, message.fact)
    else if (message.kind === 'reloaded') reloads.answered(message.id, message.faults)
    else onMessage(message)
  })
  return link
}

function whenEnded(worker: Worker): Promise<Ended> {
  const { promise, resolve } = Promise.withResolvers<Ended>()
  const disconnected = Promise.withResolvers<void>()
  worker.once('disconnect', () => disconnected.resolve())
  worker.once('exit', (code: number | null, signal: string | null) => {
    void disconnected.promise.then(() => resolve({ code, signal }))
  })
  worker.on('error', () => {
    // the message could not be sent; without a process, this is the only notice
    if (worker.process.pid === undefined) resolve({ code: 1, signal: null })
  })
  return promise
}
