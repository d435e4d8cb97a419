/**
 * The connection to Redis or Valkey, for questions that a call waits for: each is answered soon or not at all.
 * After one that was not, Redis is away: nobody waits for it any more until it has answered a ping again.
 */
import type { Log } from '@clawmesh/agent-sdk/mesh'
import { Redis } from 'ioredis'
import { type RedisAccess, redisAccessOptions } from './redis-access.ts'
import { refusesOneQuestion } from './reply-errors.ts'

export interface RedisLinkOptions extends RedisAccess {
  /** How long one question may take, in milliseconds. Default 250. */
  readonly timeoutMs?: number
  /** Called with each change, and once at the start. */
  readonly onState: (up: boolean) => void
  readonly log: Log
}

export interface RedisLink {
  /**
   * @throws RedisAway at once while it is away; otherwise within the time that a question may take. An error reply about
   *   this question alone, such as a key of another type, does not make Redis away for other questions.
   */
  ask<T>(question: (redis: Redis) => Promise<T>): Promise<T>
  away(): boolean
  /** Done each time that Redis has come back, before anybody asks it again. */
  onBack(task: (redis: Redis) => Promise<void>): void
  /** Done within the time of one question when the link closes and Redis is there. */
  onClose(task: (redis: Redis) => Promise<void>): void
  close(): Promise<void>
}

/** Redis has not answered, or not with what was asked for: what that means for the call, the gateway's configuration says. */
export class RedisAway extends Error {}

const TIMEOUT_MS = 250
const PROBE_MS = 250
/** A connection that answers no ping, or not even its greeting, for so many probes is made anew: the other end may be gone without a word. */
const PROBES_OF_CONNECTION = 8
const LONGEST_RETRY_MS = 1_000
const SILENCE_MS = 60_000

/** Does not wait for Redis any longer than a question: a gateway starts without it. */
export async function openRedisLink(options: RedisLinkOptions): Promise<RedisLink> {
  const { timeoutMs = TIMEOUT_MS, onState, log } = options
  const backTasks: ((redis: Redis) => Promise<void>)[] = []
  const closeTasks: ((redis: Redis) => Promise<void>)[] = []
  let away = true
  let closed = false
  let probes = 0
  let timer: NodeJS.Timeout | undefined
  /** Why there was no connection at the start. */
  let firstError: unknown = null
  let silentUntilMs = 0

  const redis = new Redis(options.url, {
    lazyConnect: true,
    // whoever asks while there is no connection is told so at once, and nothing is sent twice
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 2_000,
    connectionName: 'clawmesh-gateway',
    retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 6), LONGEST_RETRY_MS),
    ...redisAccessOptions(options),
  })
  // without a listener it would end the process; what it means, the probes find out
  redis.on('error', (error) => {
    firstError ??= error
  })

  function within<T>(answer: Promise<T>, ms: number): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const clock = setTimeout(
      () => reject(new RedisAway(`Redis did not answer within ${ms} ms`)),
      ms,
    )
    answer.then(resolve, reject)
    return promise.finally(() => clearTimeout(clock))
  }

  function lose(cause: unknown): void {
    if (away || closed) return
    away = true
    onState(false)
    log.warn({ err: cause }, 'Redis is away: limits are kept as limits.whenRedisIsAway says')
    probes = 0
    schedule()
  }

  /** One line for all that come within a while: a client may ask without end. */
  function complain(cause: unknown): void {
    const nowMs = performance.now()
    if (nowMs < silentUntilMs) return
    silentUntilMs = nowMs + SILENCE_MS
    log.warn({ err: cause }, 'Redis refused a question: that call is kept as if Redis were away')
  }

  function schedule(): void {
    clearTimeout(timer)
    if (!closed) timer = setTimeout(() => void probe(), PROBE_MS).unref()
  }

  async function probe(): Promise<void> {
    try {
      await within(redis.ping(), timeoutMs)
      for (const task of backTasks) await within(task(redis), timeoutMs * 4)
    } catch (cause) {
      firstError ??= cause
      probes += 1
      if (probes % PROBES_OF_CONNECTION === 0) redis.disconnect(true)
      schedule()
      return
    }
    if (closed) return
    away = false
    onState(true)
    log.info({}, 'Redis answers: limits are shared between gateways')
  }

  const connected = redis.connect().catch(() => {
    // the listener above was told why
  })
  await Promise.race([connected, delay(timeoutMs * 2)])
  await probe()
  if (away) {
    onState(false)
    log.warn({ err: firstError }, 'Redis is away: limits are kept as limits.whenRedisIsAway says')
  }

  return {
    async ask(question) {
      if (away) throw new RedisAway('Redis is away')
      try {
        return await within(question(redis), timeoutMs)
      } catch (cause) {
        if (refusesOneQuestion(cause)) complain(cause)
        else lose(cause)
        throw new RedisAway('Redis has failed', { cause })
      }
    },
    away: () => away,
    onBack: (task) => void backTasks.push(task),
    onClose: (task) => void closeTasks.push(task),
    async close() {
      if (closed) return
      closed = true
      clearTimeout(timer)
      if (!away)
        for (const task of closeTasks)
          await within(task(redis), timeoutMs).catch((err: unknown) => {
            log.debug({ err }, 'Redis was left without a good-bye')
          })
      away = true
      redis.disconnect()
    },
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref())
}
