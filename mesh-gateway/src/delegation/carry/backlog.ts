/**
 * What waits in memory for slow readers, of all calls together. Each call holds a window at most; a thousand calls that nobody
 * reads hold gigabytes. Beyond the limit those that have stood still longest are ended. The calls of one connection have half of it.
 */
import type { Duplex } from 'node:stream'

export interface Backlog {
  /** A call has come to a stop. Returns what to call when it goes on. */
  stalled(flow: Stalled): () => void
  /** Ends what is too much. To be called once a second as well. */
  sweep(): void
}

export interface Stalled {
  readonly from: Duplex
  readonly to: Duplex
  /** The caller's connection, as an object that is the same for all its calls. */
  readonly connection: object
  readonly cut: () => void
}

/** How often it looks at all of them while they could be too much, in milliseconds. */
const PAUSE_MS = 50
/** Of the limit, for the calls of one connection. */
const CONNECTION_SHARE = 1 / 2

/** @param windowBytes what one call may hold */
export function createBacklog(maxBytes: number, windowBytes: number): Backlog {
  // in the order in which they came to a stop
  const flows = new Set<Stalled>()
  let timer: NodeJS.Timeout | null = null
  const heldBy = ({ from, to }: Stalled) => from.readableLength + to.writableLength

  function sweep(): void {
    let held = 0
    const ofConnection = new Map<object, number>()
    for (const flow of flows) {
      if (flow.from.destroyed || flow.to.destroyed) {
        flows.delete(flow)
        continue
      }
      const bytes = heldBy(flow)
      held += bytes
      ofConnection.set(flow.connection, (ofConnection.get(flow.connection) ?? 0) + bytes)
    }
    const end = (flow: Stalled, bytes: number) => {
      held -= bytes
      ofConnection.set(flow.connection, (ofConnection.get(flow.connection) ?? 0) - bytes)
      flows.delete(flow)
      flow.cut()
    }
    for (const flow of flows)
      if ((ofConnection.get(flow.connection) ?? 0) > maxBytes * CONNECTION_SHARE)
        end(flow, heldBy(flow))
    for (const flow of flows) {
      if (held <= maxBytes) return
      end(flow, heldBy(flow))
    }
  }

  const couldBeTooMuch = () => flows.size * windowBytes > maxBytes * CONNECTION_SHARE
  /** What has come to a stop fills up by and by, and tells nobody. */
  function watch(): void {
    if (timer !== null || !couldBeTooMuch()) return
    timer = setTimeout(() => {
      timer = null
      sweep()
      watch()
    }, PAUSE_MS)
    timer.unref()
  }

  return {
    stalled(flow) {
      flows.add(flow)
      watch()
      return () => flows.delete(flow)
    },
    sweep,
  }
}
