/** Checks whether the Redis of shared limits answers, with the configured password and CAs. */
import { MeshError } from '@clawmesh/proto'
import {
  type RedisAccess,
  type RedisConfig,
  readRedisAccess,
  redisAccessOptions,
} from '../limits/redis/redis-access.ts'
import type { WhenRedisIsAway } from '../limits/redis/shared-limits.ts'
import { type CheckResult, result } from './finding.ts'

export interface LimitsStoreFacts {
  /** Without credentials. */
  readonly url: string
  /** Why it does not answer; null when it does. */
  readonly error: string | null
}

/** A gateway allows 250 ms per question; the doctor allows more, in milliseconds. */
const TIMEOUT_MS = 2_000

export function checkLimitsStore(
  { url, error }: LimitsStoreFacts,
  whenAway: WhenRedisIsAway,
): CheckResult {
  if (error === null) return result('Redis', url)
  return result('Redis', url, {
    what: `${url}: ${error}`,
    why:
      whenAway === 'refuse'
        ? 'whatever policy limits is refused until it answers (limits.whenRedisIsAway)'
        : 'each gateway counts by itself until it answers (limits.whenRedisIsAway)',
    todo: 'start it, or correct limits.redis: the url, the username, the password file and the CA file',
  })
}

export async function readLimitsStore(
  config: RedisConfig & { readonly url: string },
): Promise<LimitsStoreFacts> {
  const { url } = config
  try {
    return { url, error: await pingError(await readRedisAccess(config)) }
  } catch (error) {
    if (error instanceof MeshError) return { url, error: error.message }
    throw error
  }
}

async function pingError(access: RedisAccess): Promise<string | null> {
  // loaded on demand: most gateways, and so the doctor, do not need it
  const { Redis } = await import('ioredis')
  let first: unknown = null
  const redis = new Redis(access.url, {
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    connectTimeout: TIMEOUT_MS,
    commandTimeout: TIMEOUT_MS,
    connectionName: 'clawmesh-doctor',
    ...redisAccessOptions(access),
  })
  // the connection error names the cause; a pending question only says that the connection is gone
  redis.on('error', (error) => {
    first ??= error
  })
  try {
    await redis.ping()
    return null
  } catch (error) {
    return reasonOf(first ?? error)
  } finally {
    redis.disconnect()
  }
}

/** A client that knows the password could quote it, so only known harmless words are shown. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return 'it does not answer in time'
  const reply = /^(?:NOAUTH|WRONGPASS|NOPERM|LOADING|MASTERDOWN|ERR)\b/.exec(cause.message)?.[0]
  if (reply !== undefined) return `it refuses the gateway (${reply})`
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : null
  return code === null ? 'it does not answer in time' : `it cannot be reached (${code})`
}
