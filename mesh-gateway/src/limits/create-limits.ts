/**
 * Token buckets and counters in this process. A full bucket equals a new one, so full ones are dropped: memory follows
 * the keys in use, not all keys ever seen.
 */
import type { LimitUse, LocalLimits } from './limits.ts'

interface Bucket {
  tokens: number
  at: number
  perMs: number
  burst: number
}

interface Room {
  count: number
  /** As the latest one asked. */
  max: number
}

const SWEEP_AT = 10_000
/** Tolerance for rounding errors of fractions, which must not cost a millisecond. */
const ROUNDING_MS = 1e-6

/** @param now milliseconds of a monotonic clock */
export function createLimits(now: () => number = () => performance.now()): LocalLimits {
  const buckets = new Map<string, Bucket>()
  // zero counters stay: a map that gains and loses an entry with each call costs more than the call
  const inside = new Map<string, Room>()
  let sweepAt = SWEEP_AT

  function sweep(at: number): void {
    for (const [key, bucket] of buckets)
      if (bucket.tokens + (at - bucket.at) * bucket.perMs >= bucket.burst) buckets.delete(key)
    sweepAt = Math.max(SWEEP_AT, buckets.size * 2)
  }

  return {
    take(key, perMinute, burst) {
      const at = now()
      const perMs = perMinute / 60_000
      const room = Math.max(1, burst)
      const bucket = buckets.get(key)
      if (perMinute <= 0) return 60_000
      if (bucket === undefined) {
        if (buckets.size >= sweepAt) sweep(at)
        buckets.set(key, { tokens: room - 1, at, perMs, burst: room })
        return null
      }
      bucket.tokens = Math.min(room, bucket.tokens + (at - bucket.at) * bucket.perMs)
      bucket.at = at
      bucket.perMs = perMs
      bucket.burst = room
      if (bucket.tokens < 1) return Math.ceil((1 - bucket.tokens) / perMs - ROUNDING_MS)
      bucket.tokens -= 1
      return null
    },
    enter(key, max) {
      let room = inside.get(key)
      if (room === undefined) {
        if (inside.size >= SWEEP_AT)
          for (const [other, { count }] of inside) if (count === 0) inside.delete(other)
        room = { count: 0, max }
        inside.set(key, room)
      }
      const entered = room
      entered.max = max
      if (entered.count >= max) return null
      entered.count += 1
      let left = false
      return () => {
        if (left) return
        left = true
        entered.count -= 1
      }
    },
    usage(most) {
      const at = now()
      const rates = buckets.entries().map(([key, bucket]): LimitUse => {
        const tokens = Math.min(bucket.burst, bucket.tokens + (at - bucket.at) * bucket.perMs)
        const used = Math.round((bucket.burst - tokens) * 100) / 100
        const perMinute = Math.round(bucket.perMs * 60_000 * 100) / 100
        return { key, kind: 'rate', used, most: bucket.burst, per_minute: perMinute }
      })
      const rooms = inside
        .entries()
        .filter(([, { count }]) => count > 0)
        .map(
          ([key, { count, max }]): LimitUse => ({
            ...{ key, kind: 'at-once', used: count, most: max, per_minute: null },
          }),
        )
      return fullestFirst([...rates, ...rooms]).slice(0, most)
    },
  }
}

export function fullestFirst(uses: readonly LimitUse[]): readonly LimitUse[] {
  const share = ({ used, most }: LimitUse) => (used ?? 0) / Math.max(1, most)
  return uses.toSorted((a, b) => share(b) - share(a) || (a.key < b.key ? -1 : 1))
}
