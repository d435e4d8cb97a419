/** Counts open upstream connections per destination and per agent. Over a bound the caller refuses; nothing queues. */
import { createLimits } from '../../limits/create-limits.ts'
import type { Release } from '../../limits/limits.ts'

export interface ConnectionBounds {
  /** The release, to be called once when the connection has closed, or the bound that is reached. */
  enter(owner: string, destination: string): Release | BoundReached
}

export type BoundReached = 'connections-per-destination' | 'connections-per-agent'

export interface ConnectionBoundsOptions {
  readonly perDestination: number
  readonly perAgent: number
}

export function createConnectionBounds(options: ConnectionBoundsOptions): ConnectionBounds {
  // always counted in this process: a connection belongs to one process, even when gateways share limits
  const owners = createLimits()
  const destinations = createLimits()
  return {
    enter(owner, destination) {
      const releaseOwner = owners.enter(owner, options.perAgent)
      if (releaseOwner === null) return 'connections-per-agent'
      const releaseDestination = destinations.enter(destination, options.perDestination)
      if (releaseDestination === null) {
        releaseOwner()
        return 'connections-per-destination'
      }
      return () => {
        releaseOwner()
        releaseDestination()
      }
    },
  }
}
