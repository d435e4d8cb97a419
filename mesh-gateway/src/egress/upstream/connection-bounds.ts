/** How many connections to destinations are open: to each by all agents, and by each agent. No queue: beyond it, somebody else decides. */
import { createLimits } from '../../limits/create-limits.ts'
import type { Release } from '../../limits/limits.ts'

export interface ConnectionBounds {
  /** What is called once when the connection has gone, or of which there are too many. */
  enter(owner: string, destination: string): Release | BoundReached
}

export type BoundReached = 'connections-per-destination' | 'connections-per-agent'

export interface ConnectionBoundsOptions {
  readonly perDestination: number
  readonly perAgent: number
}

export function createConnectionBounds(options: ConnectionBoundsOptions): ConnectionBounds {
  // always of this process: a connection is one of its own, however many gateways count together
  const owners = createLimits()
  const destinations = createLimits()
  return {
    enter(owner, destination) {
      const leaveOwner = owners.enter(owner, options.perAgent)
      if (leaveOwner === null) return 'connections-per-agent'
      const leaveDestination = destinations.enter(destination, options.perDestination)
      if (leaveDestination === null) {
        leaveOwner()
        return 'connections-per-destination'
      }
      return () => {
        leaveOwner()
        leaveDestination()
      }
    },
  }
}
