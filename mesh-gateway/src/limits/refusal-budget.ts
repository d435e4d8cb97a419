/**
 * Limits how often one agent or one source may be refused. A refusal costs work: a signature check, a policy decision,
 * a record. When the budget is empty, further requests get MESH_RATE_LIMITED before that work, until it has refilled a
 * little. Admitted requests cost nothing. Always counted in this process.
 */
import { MeshError } from '@clawmesh/proto'

export interface RefusalBudget {
  /** The wait until the key may be refused again, in milliseconds; null when it may be now. */
  exhausted(key: string): number | null
  /** @param cost of one refusal; default 1 */
  spend(key: string, cost?: number): void
  /** The answer when the budget is spent. @param whose `this agent`, `this address` */
  refusal(waitMs: number, whose: string): MeshError
}

export interface RefusalBudgets {
  /**
   * Keys are `tenant/agent`, at the egress port followed by the origin of the chain; or the SPIFFE ID of a caller that
   * is no agent.
   */
  readonly agents: RefusalBudget
  /** For unauthenticated clients. Keys are sources: an IPv4 address, or a /64 of IPv6. */
  readonly sources: RefusalBudget
}

export interface RefusalBudgetsOptions {
  /** Refusals per minute; the burst is a sixth of that. Default 600. */
  readonly refusedPerAgent?: number
  readonly refusedPerAddress?: number
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number
}

const PER_MINUTE = 600
/** The share of a minute's budget that may be spent at once. */
const BURST = 1 / 6
const SWEEP_AT = 10_000

export function createRefusalBudgets(options: RefusalBudgetsOptions = {}): RefusalBudgets {
  const { refusedPerAgent = PER_MINUTE, refusedPerAddress = PER_MINUTE, now } = options
  return {
    agents: createRefusalBudget(refusedPerAgent, now),
    sources: createRefusalBudget(refusedPerAddress, now),
  }
}

export function createRefusalBudget(
  perMinute: number,
  now: () => number = () => performance.now(),
): RefusalBudget {
  const room = Math.max(1, Math.ceil(perMinute * BURST))
  const perMs = perMinute / 60_000
  // only recently refused ones: a full bucket is dropped
  const buckets = new Map<string, { tokens: number; atMs: number }>()
  let sweepAt = SWEEP_AT

  const filled = ({ tokens, atMs }: { tokens: number; atMs: number }, nowMs: number) =>
    Math.min(room, tokens + (nowMs - atMs) * perMs)

  function sweep(nowMs: number): void {
    for (const [key, bucket] of buckets) if (filled(bucket, nowMs) >= room) buckets.delete(key)
    sweepAt = Math.max(SWEEP_AT, buckets.size * 2)
  }

  return {
    exhausted(key) {
      if (buckets.size === 0) return null
      const bucket = buckets.get(key)
      if (bucket === undefined) return null
      const tokens = filled(bucket, now())
      return tokens >= 1 ? null : Math.max(1, Math.ceil((1 - tokens) / perMs))
    },
    spend(key, cost = 1) {
      const nowMs = now()
      const bucket = buckets.get(key)
      if (bucket === undefined) {
        if (buckets.size >= sweepAt) sweep(nowMs)
        buckets.set(key, { tokens: room - cost, atMs: nowMs })
        return
      }
      // never below zero: requests that were under way when it ran out add no further wait
      bucket.tokens = Math.max(0, filled(bucket, nowMs) - cost)
      bucket.atMs = nowMs
    },
    refusal: (waitMs, whose) =>
      new MeshError(
        'MESH_RATE_LIMITED',
        `too many requests of ${whose} were refused; ${perMinute} refusals per minute are allowed`,
        {
          hint: 'mend the requests that are refused, or slow them down; the audit log says why each kind was',
          retryAfterMs: waitMs,
        },
      ),
  }
}
