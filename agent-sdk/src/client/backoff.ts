/** Exponential backoff with jitter between retries: agents do not all reconnect at the same moment to a gateway that comes back. */
import { setTimeout as sleep } from 'node:timers/promises'

export interface Backoff {
  /** Waits; rejects when the signal aborts. */
  wait(signal: AbortSignal, atLeastMs?: number): Promise<void>
  reset(): void
}

export interface BackoffOptions {
  /** In milliseconds. Default 100. */
  readonly firstMs?: number
  /** In milliseconds. Default 5,000. */
  readonly maxMs?: number
  /** Whether waiting keeps the process. Default true. */
  readonly ref?: boolean
}

/** @param random between 0 and 1; default Math.random */
export function createBackoff(
  { firstMs = 100, maxMs = 5_000, ref = true }: BackoffOptions = {},
  random: () => number = Math.random,
): Backoff {
  let attempt = 0
  return {
    async wait(signal, atLeastMs = 0) {
      const ceiling = Math.min(maxMs, firstMs * 2 ** attempt)
      attempt = Math.min(attempt + 1, 30)
      const delay = Math.max(atLeastMs, ceiling / 2 + (ceiling / 2) * random())
      await sleep(delay, undefined, { signal, ref })
    },
    reset() {
      attempt = 0
    },
  }
}
