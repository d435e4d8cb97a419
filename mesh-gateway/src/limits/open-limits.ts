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

/** No token of a chain lives longer, so no tree need be remembered longer. In milliseconds. */
const MAX_CHAIN_MS = 24 * 60 * 60 * 1000

/** A bundle of CAs is the larger of the two. */
const MAX_FILE_BYTES = 8 * 1024 * 1024

/** Everything is in the memory of this process. */
export function countHere(): Counting {
  return { limits: createLimits(), budgets: createMemoryBudgets(MAX_CHAIN_MS) }
}

/**
 * @param counting counts where no Redis does; null: this process
 * @throws MeshError MESH_CONFIG_INVALID when a file cannot be read; never because Redis is away
 */
export async function openLimits(
  { redis, whenRedisIsAway: whenAway }: LimitsConfig,
  { counting, metrics, log }: { counting: Counting | null; metrics: LimitsMetrics; log: Log },
): Promise<OpenLimits> {
  const { url } = redis
  if (url === null) return { ...(counting ?? countHere()), async close() {} }
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
    budgets: createSharedBudgets({ ...shared, keepMs: MAX_CHAIN_MS }),
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
