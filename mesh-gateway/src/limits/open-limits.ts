/** Opens the limits of a gateway: in its own memory, or in a Redis that it shares with others. */
import type { Log } from '@clawmesh/agent-sdk/mesh'
import type { LimitsMetrics } from '../telemetry/limits-metrics.ts'
import { type Budgets, createMemoryBudgets } from './budgets.ts'
import { createLimits } from './create-limits.ts'
import type { Limits, LimitUse } from './limits.ts'
import { type RedisConfig, readRedisAccess } from './redis/redis-access.ts'
import type { WhenRedisIsAway } from './redis/shared-limits.ts'

export interface LimitsConfig {
  readonly redis: RedisConfig
  readonly whenRedisIsAway: WhenRedisIsAway
  /** Maximum trees of delegations whose budgets are counted. */
  readonly maxTrees: number
}

export interface Counting {
  readonly limits: Limits
  readonly budgets: Budgets
}

export interface LocalCounting extends Counting {
  /** How full the limits are, the fullest first. */
  usage(most: number): readonly LimitUse[]
}

/** Where limits are counted. */
export type CountedIn = 'process' | 'supervisor' | 'redis'

export interface OpenLimits extends Counting {
  readonly countedIn: CountedIn
  /** As LocalCounting; empty where another process counts. Where Redis does, the names and bounds of those of late. */
  usage(most: number): readonly LimitUse[]
  close(): Promise<void>
}

/** A tree is remembered this much longer than the longest token, in milliseconds, because clocks may differ. */
const MARGIN_MS = 60_000

export interface CountingOptions {
  readonly maxTrees: number
  /** The longest life of a delegation token, in milliseconds. Read each time. */
  readonly delegationTtlMs: () => number
}

/** Counts in the memory of this process. */
export function countHere({ maxTrees, delegationTtlMs }: CountingOptions): LocalCounting {
  const keepMs = () => delegationTtlMs() + MARGIN_MS
  const limits = createLimits()
  const budgets = createMemoryBudgets({ keepMs, maxTrees })
  return { limits, budgets, usage: (most) => limits.usage(most) }
}

export interface OpenLimitsOptions extends Pick<CountingOptions, 'delegationTtlMs'> {
  /** Counts when there is no Redis; null: this process. */
  readonly counting: Counting | null
  readonly metrics: LimitsMetrics
  readonly log: Log
}

/** @throws MeshError MESH_CONFIG_INVALID when a file cannot be read; never because Redis is unavailable */
export async function openLimits(
  { redis, whenRedisIsAway: whenAway, maxTrees }: LimitsConfig,
  { counting, delegationTtlMs, metrics, log }: OpenLimitsOptions,
): Promise<OpenLimits> {
  const { url } = redis
  if (url === null && counting !== null)
    return { ...counting, countedIn: 'supervisor', usage: () => [], async close() {} }
  if (url === null)
    return { ...countHere({ maxTrees, delegationTtlMs }), countedIn: 'process', async close() {} }
  const access = await readRedisAccess({ ...redis, url })
  // loaded on demand: most gateways count by themselves, and the Redis client takes megabytes
  const [{ openRedisLink }, { createSharedBudgets }, { createSharedLimits }] = await Promise.all([
    import('./redis/redis-link.ts'),
    import('./redis/shared-budgets.ts'),
    import('./redis/shared-limits.ts'),
  ])
  const link = await openRedisLink({ ...access, onState: (up) => metrics.limitsStore(up), log })
  const shared = {
    ...{ link, whenAway, prefix: redis.prefix },
    onAway: (answer: WhenRedisIsAway) => metrics.limitsWithoutStore(answer),
  }
  const limits = createSharedLimits(shared)
  return {
    limits,
    countedIn: 'redis',
    usage: (most) => limits.usage(most),
    budgets: createSharedBudgets({
      ...shared,
      maxTrees,
      keepMs: () => delegationTtlMs() + MARGIN_MS,
    }),
    async close() {
      limits.close()
      await link.close()
    },
  }
}
