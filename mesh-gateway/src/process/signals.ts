/** Handles the signals of a terminal and of an init system for a running gateway: graceful shutdown and reload. */
import type { Terminal } from './terminal.ts'

export interface Signals {
  /** The name of the first SIGTERM or SIGINT. */
  readonly ended: Promise<string>
  onReload(listener: () => void): void
  /** Called on a second one, before the process ends. */
  onAgain(listener: () => void): void
  close(): void
}

/** Listens from before the start, so that no signal is lost while files are read. */
export function listenForSignals({ process, exit, say }: Terminal): Signals {
  const ended = Promise.withResolvers<string>()
  let reload = () => {}
  let again = () => {}
  let asked = false
  const onEnd = (signal: NodeJS.Signals) => {
    if (asked) {
      say(`${signal} again: ending at once`)
      again()
      exit(1)
    }
    asked = true
    ended.resolve(signal)
  }
  const onReload = () => reload()
  process.on('SIGTERM', onEnd)
  process.on('SIGINT', onEnd)
  process.on('SIGHUP', onReload)
  return {
    ended: ended.promise,
    onReload(listener) {
      reload = listener
    },
    onAgain(listener) {
      again = listener
    },
    close() {
      process.off('SIGTERM', onEnd)
      process.off('SIGINT', onEnd)
      process.off('SIGHUP', onReload)
    },
  }
}
