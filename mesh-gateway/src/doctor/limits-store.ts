/** The Redis that gateways count in: whether it answers, with the password and the CAs that the configuration names. */
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

/** A gateway gives a question 250 ms; the doctor takes its time, in milliseconds. */
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
  // only now: a gateway that counts by itself does without it, and so does its doctor
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
  // the connection says why, and a question that waited for it only that it is gone
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

/** Of a client that knows the password: its words are shown only as far as they are known to be harmless. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return 'it does not answer in time'
  const reply = /^(?:NOAUTH|WRONGPASS|NOPERM|LOADING|MASTERDOWN|ERR)\b/.exec(cause.message)?.[0]
  if (reply !== undefined) return `it refuses the gateway (${reply})`
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : null
  return code === null ? 'it does not answer in time' : `it cannot be reached (${code})`
}
