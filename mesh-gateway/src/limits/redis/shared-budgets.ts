/** Budgets of delegation trees that several gateways share through Redis. */
import { MeshError } from '@clawmesh/proto'
import { RateLimiterRedis } from 'rate-limiter-flexible'
import { type Budgets, createMemoryBudgets, UNBOUNDED } from '../budgets.ts'
import { RedisAway, type RedisLink } from './redis-link.ts'
import type { WhenRedisIsAway } from './shared-limits.ts'

export interface SharedBudgetsOptions {
  readonly link: RedisLink
  readonly whenAway: WhenRedisIsAway
  readonly prefix: string
  /** As in `createMemoryBudgets`. */
  readonly keepMs: () => number
  readonly maxTrees: number
  readonly onAway: (answer: WhenRedisIsAway) => void
}

export function createSharedBudgets(options: SharedBudgetsOptions): Budgets {
  const { link, whenAway, prefix, keepMs, maxTrees, onAway } = options
  // counts too: when Redis is away, this gateway still knows the trees that it has seen; it also bounds the keys in
  // Redis
  const own = createMemoryBudgets({ keepMs, maxTrees })
  let counter: RateLimiterRedis | null = null
  return {
    async spend(txn, max, tenant) {
      const withinOwn = await own.spend(txn, max, tenant)
      try {
        const { consumedPoints } = await link.ask((redis) => {
          counter ??= new RateLimiterRedis({
            storeClient: redis,
            keyPrefix: `${prefix}tree`,
            points: UNBOUNDED,
            duration: 0,
          })
          return counter.consume(txn, 1, { customDuration: Math.ceil(keepMs() / 1000) })
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
