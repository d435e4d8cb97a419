/** Budgets of trees of delegation that several gateways share. */
import { MeshError } from '@clawmesh/proto'
import { RateLimiterRedis } from 'rate-limiter-flexible'
import { type Budgets, createMemoryBudgets, UNBOUNDED } from '../budgets.ts'
import { RedisAway, type RedisLink } from './redis-link.ts'
import type { WhenRedisIsAway } from './shared-limits.ts'

export interface SharedBudgetsOptions {
  readonly link: RedisLink
  readonly whenAway: WhenRedisIsAway
  readonly prefix: string
  /** How long a tree is remembered, in milliseconds. */
  readonly keepMs: number
  readonly onAway: (answer: WhenRedisIsAway) => void
}

export function createSharedBudgets(options: SharedBudgetsOptions): Budgets {
  const { link, whenAway, prefix, keepMs, onAway } = options
  // counts along: when Redis is away, what this gateway has seen of a tree is not forgotten
  const own = createMemoryBudgets(keepMs)
  let counter: RateLimiterRedis | null = null
  return {
    async spend(txn, max) {
      const withinOwn = await own.spend(txn, max)
      try {
        const { consumedPoints } = await link.ask((redis) => {
          counter ??= new RateLimiterRedis({
            storeClient: redis,
            keyPrefix: `${prefix}tree`,
            points: UNBOUNDED,
            duration: Math.ceil(keepMs / 1000),
          })
          return counter.consume(txn, 1)
        })
        return consumedPoints <= max
      } catch (cause) {
        if (!(cause instanceof RedisAway)) throw cause
        onAway(whenAway)
        if (whenAway === 'local') return withinOwn
        throw new MeshError('MESH_LIMIT_UNAVAILABLE', undefined, { cause, retryAfterMs: 1_000 })
      }
    },
  }
}
