/**
 * Bounds the memory that slow readers hold, over all calls. Each call buffers one flow-control window at most; a
 * thousand unread calls would buffer gigabytes. Over the limit, the calls that have stalled longest are ended. The
 * calls of one connection may hold half of the limit.
 */
import type { Duplex } from 'node:stream'

export interface Backlog {
  /** Registers a call that has stalled. Returns the function to call when it continues. */
  stalled(flow: Stalled): () => void
  /** Ends the calls over the limit. To be called once a second as well. */
  sweep(): void
}

export interface Stalled {
  readonly from: Duplex
  readonly to: Duplex
  /** An object that identifies the caller's connection, the same for all its calls. */
  readonly connection: object
  readonly cut: () => void
}

/** How often all stalled calls are checked while they could exceed the limit, in milliseconds. */
const PAUSE_MS = 50
/** The share of the limit for the calls of one connection. */
const CONNECTION_SHARE = 1 / 2

/** @param windowBytes the bytes that one call may hold */
export function createBacklog(maxBytes: number, windowBytes: number): Backlog {
  // in the order in which they stalled
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
  /** The buffers of a stalled call grow without an event, so a timer checks them. */
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
