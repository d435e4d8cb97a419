/** What a gateway counts with: its own memory, or a Redis that it shares with others. */
import type { Log } from '@clawmesh/agent-sdk'
import { describeFileFault, readWhole } from '@clawmesh/agent-sdk/mesh'
import { MeshError, Secret } from '@clawmesh/proto'
import type { LimitsMetrics } from '../telemetry/limits-metrics.ts'
import { type Budgets, createMemoryBudgets } from './budgets.ts'
import { createLimits } from './create-limits.ts'
import type { Limits } from './limits.ts'
import type { WhenRedisIsAway } from './redis/shared-limits.ts'

export interface LimitsConfig {
  readonly redis: RedisConfig
  readonly whenRedisIsAway: WhenRedisIsAway
  /** Trees of delegations whose budgets are counted at once. */
  readonly maxTrees: number
}

export interface RedisConfig {
  /** Null: no Redis, each gateway counts by itself. */
  readonly url: string | null
  readonly username: string | null
  /** Null: no password. */
  readonly passwordFile: string | null
  /** PEM file; null: the public CAs. */
  readonly caFile: string | null
  readonly prefix: string
}

export interface Counting {
  readonly limits: Limits
  readonly budgets: Budgets
}

export interface OpenLimits extends Counting {
  close(): Promise<void>
}

/** A token is taken for so long after its end, in milliseconds, as clocks may differ; and a tree is remembered beyond that. */
const MARGIN_MS = 60_000

/** A bundle of CAs is the larger of the two. */
const MAX_FILE_BYTES = 8 * 1024 * 1024

export interface CountingOptions {
  readonly maxTrees: number
  /** The longest life of a delegation token, in milliseconds. Read for each. */
  readonly delegationTtlMs: () => number
}

/** Everything is in the memory of this process. */
export function countHere({ maxTrees, delegationTtlMs }: CountingOptions): Counting {
  const keepMs = () => delegationTtlMs() + MARGIN_MS
  return { limits: createLimits(), budgets: createMemoryBudgets({ keepMs, maxTrees }) }
}

export interface OpenLimitsOptions extends Pick<CountingOptions, 'delegationTtlMs'> {
  /** Counts where no Redis does; null: this process. */
  readonly counting: Counting | null
  readonly metrics: LimitsMetrics
  readonly log: Log
}

/** @throws MeshError MESH_CONFIG_INVALID when a file cannot be read; never because Redis is away */
export async function openLimits(
  { redis, whenRedisIsAway: whenAway, maxTrees }: LimitsConfig,
  { counting, delegationTtlMs, metrics, log }: OpenLimitsOptions,
): Promise<OpenLimits> {
  const { url } = redis
  if (url === null)
    return { ...(counting ?? countHere({ maxTrees, delegationTtlMs })), async close() {} }
  const password = await textOf(redis.passwordFile, 'limits.redis.passwordFile')
  const ca = await textOf(redis.caFile, 'limits.redis.caFile')
  // only now: most gateways count by themselves, and the client of Redis takes megabytes
  const [{ openRedisLink }, { createSharedBudgets }, { createSharedLimits }] = await Promise.all([
    import('./redis/redis-link.ts'),
    import('./redis/shared-budgets.ts'),
    import('./redis/shared-limits.ts'),
  ])
  const link = await openRedisLink({
    url,
    username: redis.username,
    password: password === null ? null : new Secret(password.trim()),
    ca,
    onState: (up) => metrics.limitsStore(up),
    log,
  })
  const shared = {
    ...{ link, whenAway, prefix: redis.prefix },
    onAway: (answer: WhenRedisIsAway) => metrics.limitsWithoutStore(answer),
  }
  const limits = createSharedLimits(shared)
  return {
    limits,
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

async function textOf(file: string | null, key: string): Promise<string | null> {
  if (file === null) return null
  try {
    return (await readWhole(file, { maxBytes: MAX_FILE_BYTES })).toString('utf8')
  } catch (cause) {
    const message = `${key}: ${file} cannot be read (${describeFileFault(cause)})`
    throw new MeshError('MESH_CONFIG_INVALID', message, { cause })
  }
}
