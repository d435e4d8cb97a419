/**
 * A bounded fair queue of DNS lookups: an agent with thousands of names waits for its own lookups, and delays no other
 * agent.
 */
import { type FairBounds, FairQueue, type Place } from '../limits/fair-queue.ts'
import { ResolveFailure } from './resolver.ts'
import { within } from './within.ts'

export interface LookupQueue {
  /**
   * Runs `work` at its turn. Work that times out before its turn never runs.
   * @param asker `<tenant>/<agent>`; a name without a slash is a tenant of its own
   * @throws ResolveFailure `timeout`, or at once `too-many` of the asker's own or `busy`
   */
  take<T>(asker: string, work: () => Promise<T>, timeoutMs: number): Promise<T>
  /** Refuses the waiting work. */
  close(): void
}

interface Waiter {
  begin(place: Place): void
  refuse(): void
}

export function createLookupQueue(bounds: FairBounds): LookupQueue {
  const queue = new FairQueue<Waiter>(bounds)

  async function run<T>(place: Place, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } finally {
      place.leave()
      for (let next = queue.shift(); next !== null; next = queue.shift())
        next.waiter.begin(next.place)
    }
  }

  return {
    take<T>(asker: string, work: () => Promise<T>, timeoutMs: number): Promise<T> {
      const place = queue.enter(asker)
      if (place !== null) return within(run(place, work), timeoutMs)
      const { promise, resolve, reject } = Promise.withResolvers<T>()
      const full = queue.fullFor(asker)
      const queued = queue.push(asker, {
        begin: (given) => resolve(run(given, work)),
        refuse: () => reject(new ResolveFailure('failed')),
      })
      if (queued === null)
        return Promise.reject(new ResolveFailure(full === 'asker' ? 'too-many' : 'busy'))
      return within(promise, timeoutMs, () => queued.remove())
    },
    close() {
      for (const waiter of queue.clear()) waiter.refuse()
    },
  }
}
