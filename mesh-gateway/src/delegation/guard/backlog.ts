/**
 * What waits in memory for slow readers, of all calls together. Each call holds a window at most; a thousand calls that nobody
 * reads hold a gigabyte. Beyond the limit those that have stood still longest are ended.
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
  readonly cut: () => void
}

/** How often a new stall may make it look at all of them, in milliseconds. */
const PAUSE_MS = 50

/** @param windowBytes what one call may hold */
export function createBacklog(maxBytes: number, windowBytes: number): Backlog {
  // in the order in which they came to a stop
  const flows = new Set<Stalled>()
  let sweptMs = 0

  function sweep(): void {
    sweptMs = performance.now()
    let held = 0
    for (const flow of flows) {
      if (flow.from.destroyed || flow.to.destroyed) flows.delete(flow)
      else held += flow.from.readableLength + flow.to.writableLength
    }
    for (const flow of flows) {
      if (held <= maxBytes) return
      held -= flow.from.readableLength + flow.to.writableLength
      flows.delete(flow)
      flow.cut()
    }
  }

  return {
    stalled(flow) {
      flows.add(flow)
      if (flows.size * windowBytes > maxBytes && performance.now() - sweptMs > PAUSE_MS) sweep()
      return () => flows.delete(flow)
    },
    sweep,
  }
}
