/** How many delegations the tree of one root has begun, however many agents it spreads over. */
import { RateLimiterMemory } from 'rate-limiter-flexible'

export interface Budgets {
  /** Takes one from what the tree `txn` may have in all. False when that would be more than `max`. */
  spend(txn: string, max: number): Promise<boolean>
}

/** As many as the store can count; what is allowed is the tenant's, and may change while a tree grows. */
export const UNBOUNDED = 2 ** 31 - 1

/**
 * Counts in this process.
 * @param keepMs how long a tree is remembered, in milliseconds: as long as any of its tokens may live.
 */
export function createMemoryBudgets(keepMs: number): Budgets {
  const counter = new RateLimiterMemory({ points: UNBOUNDED, duration: Math.ceil(keepMs / 1000) })
  return {
    async spend(txn, max) {
      const { consumedPoints } = await counter.consume(txn, 1)
      return consumedPoints <= max
    },
  }
}
