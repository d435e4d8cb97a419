/** The supervisor, as a worker sees it. */
import cluster from 'node:cluster'
import type { Terminal } from '../process/terminal.ts'
import { type Begin, type FromWorker, isToWorker, type ToWorker } from './messages.ts'

export interface SupervisorLink {
  /** With what the gateway starts. */
  readonly begun: Promise<Begin>
  /** Resolves when this worker is to end: how long what runs may take, in milliseconds; null: as configured. */
  readonly ended: Promise<number | null>
  /** Resolves when the supervisor has gone. */
  readonly gone: Promise<null>
  /** All other messages, those that came before included. */
  hear(listener: (message: ToWorker) => void): void
  /** False when there is no supervisor any more. */
  readonly post: (message: FromWorker) => boolean
  /** @param sent called when it has left this process, or cannot leave it */
  postLast(message: FromWorker, sent: () => void): void
}

export function linkSupervisor(terminal: Terminal): SupervisorLink {
  const begun = Promise.withResolvers<Begin>()
  const ended = Promise.withResolvers<number | null>()
  const gone = Promise.withResolvers<null>()
  /** Messages from before the handler was set. */
  const early: ToWorker[] = []
  let hear = (message: ToWorker): void => void early.push(message)
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
  worker.on('disconnect', () => {
    // otherwise Node ends the process here, with its open calls
    worker.exitedAfterDisconnect = true
    gone.resolve(null)
    ended.resolve(null)
  })
  // earlier imports may have unreferenced it
  process.channel?.ref()
  return {
    begun: begun.promise,
    ended: ended.promise,
    gone: gone.promise,
    hear(listener) {
      hear = listener
      for (const message of early) listener(message)
    },
    post(message) {
      if (!worker.isConnected()) return false
      worker.send(message, () => {})
      return true
    },
    postLast: (message, sent) => void worker.send(message, sent),
  }
}
