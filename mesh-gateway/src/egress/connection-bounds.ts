/** How many connections to destinations are open: to each by all agents, and by each agent. No queue: beyond it, somebody else decides. */
import type { Leave } from '../limits/limits.ts'

export interface ConnectionBounds {
  /** What is called once when the connection has gone, or of which there are too many. */
  enter(owner: string, destination: string): Leave | BoundReached
}

export type BoundReached = 'connections-per-destination' | 'connections-per-agent'

export interface ConnectionBoundsOptions {
  readonly perDestination: number
  readonly perAgent: number
}

interface Count {
  open: number
}

/** What is at nothing is forgotten when there are so many: not at once, since it comes back with the next connection. */
const SWEEP_AT = 10_000

export function createConnectionBounds(options: ConnectionBoundsOptions): ConnectionBounds {
  const owners = new Map<string, Count>()
  const destinations = new Map<string, Count>()
  return {
    enter(owner, destination) {
      const own = countOf(owners, owner)
      if (own.open >= options.perAgent) return 'connections-per-agent'
      const there = countOf(destinations, destination)
      if (there.open >= options.perDestination) return 'connections-per-destination'
      own.open += 1
      there.open += 1
      let left = false
      return () => {
        if (left) return
        left = true
        own.open -= 1
        there.open -= 1
      }
    },
  }
}

function countOf(counts: Map<string, Count>, key: string): Count {
  const known = counts.get(key)
  if (known !== undefined) return known
  if (counts.size >= SWEEP_AT)
    for (const [other, { open }] of counts) if (open === 0) counts.delete(other)
  const fresh = { open: 0 }
  counts.set(key, fresh)
  return fresh
}
