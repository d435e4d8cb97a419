/**
 * The child's end of the link between the development mesh and its processes. A child ends when it is told to, by a
 * signal or because the link closed: nothing is left behind when the parent is killed.
 */

export interface ChildLink {
  send(message: object): void
}

export interface ChildLinkOptions {
  readonly onMessage?: (message: unknown) => void
  /** Ends everything the process has open, so that it ends by itself. */
  readonly stop: () => Promise<void>
}

/** How long `stop` may take before the process is ended regardless, in milliseconds. */
const STOP_MS = 5_000

export function linkToParent({ onMessage, stop }: ChildLinkOptions): ChildLink {
  let stopping = false
  const end = () => {
    if (stopping) return
    stopping = true
    setTimeout(() => process.exit(1), STOP_MS).unref()
    stop()
      .catch((error: unknown) => {
        process.stderr.write(`${String(error)}\n`)
        process.exitCode = 1
      })
      .finally(() => {
        if (process.connected) process.disconnect()
      })
  }
  process.on('SIGTERM', end)
  process.on('SIGINT', end)
  process.on('disconnect', end)
  process.on('message', (message) => {
    if (!stopping) onMessage?.(message)
  })
  return {
    send(message) {
      // the parent may be gone by now; then `disconnect` is on its way
      if (process.connected) process.send?.(message, undefined, undefined, () => {})
    },
  }
}
