/**
 * The connection to Redis or Valkey, for questions on which a call waits: each is answered soon or not at all. A
 * circuit breaker: after an unanswered question Redis is away, and no call waits for it until it has answered a ping.
 */
import type { Log } from '@clawmesh/agent-sdk/mesh'
import { Redis } from 'ioredis'
import { type RedisAccess, redisAccessOptions } from './redis-access.ts'
import { refusesOneQuestion } from './reply-errors.ts'

export interface RedisLinkOptions extends RedisAccess {
  /** Timeout of one question, in milliseconds. Default 250. */
  readonly timeoutMs?: number
  /** Called on each change, and once at the start. */
  readonly onState: (up: boolean) => void
  readonly log: Log
}

export interface RedisLink {
  /**
   * @throws RedisAway at once while Redis is away; otherwise within the timeout of a question. An error reply about
   *   this question alone, such as a key of another type, does not make Redis away for other questions.
   */
  ask<T>(question: (redis: Redis) => Promise<T>): Promise<T>
  away(): boolean
  /** Runs each time that Redis has come back, before any further question. */
  onBack(task: (redis: Redis) => Promise<void>): void
  /** Runs when the link closes and Redis is available, within the timeout of one question. */
  onClose(task: (redis: Redis) => Promise<void>): void
  close(): Promise<void>
}

/** Redis did not answer, or not as expected; the configuration decides what that means for the call. */
export class RedisAway extends Error {}

const TIMEOUT_MS = 250
const PROBE_MS = 250
/**
 * A connection that answers no ping, or not even its greeting, for so many probes is made anew: the other end may be
 * gone without a word.
 */
const PROBES_OF_CONNECTION = 8
const LONGEST_RETRY_MS = 1_000
const SILENCE_MS = 60_000

/** Waits for Redis no longer than for one question: a gateway starts without it. */
export async function openRedisLink(options: RedisLinkOptions): Promise<RedisLink> {
  const link = new Link(options)
  await link.connect()
  return link
}

type Task = (redis: Redis) => Promise<void>

class Link implements RedisLink {
  readonly #options: RedisLinkOptions
  readonly #timeoutMs: number
  readonly #redis: Redis
  readonly #backTasks: Task[] = []
  readonly #closeTasks: Task[] = []
  #away = true
  #closed = false
  #probes = 0
  #timer: NodeJS.Timeout | undefined
  /** Why there was no connection at the start. */
  #firstError: unknown = null
  #silentUntilMs = 0

  constructor(options: RedisLinkOptions) {
    this.#options = options
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS
    this.#redis = new Redis(options.url, {
      lazyConnect: true,
      // without a connection a question fails at once, and nothing is sent twice
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      connectTimeout: 2_000,
      connectionName: 'clawmesh-gateway',
      retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 6), LONGEST_RETRY_MS),
      ...redisAccessOptions(options),
    })
    // an `error` event without a listener would end the process; the probes find out what it means
    this.#redis.on('error', (error) => {
      this.#firstError ??= error
    })
  }

  async connect(): Promise<void> {
    const { onState, log } = this.#options
    const connected = this.#redis.connect().catch(() => {
      // the listener above was told why
    })
    await Promise.race([connected, delay(this.#timeoutMs * 2)])
    await this.#probe()
    if (!this.#away) return
    onState(false)
    log.warn(
      { err: this.#firstError },
      'Redis is away: limits are kept as limits.whenRedisIsAway says',
    )
  }

  async ask<T>(question: (redis: Redis) => Promise<T>): Promise<T> {
    if (this.#away) throw new RedisAway('Redis is away')
    try {
      return await within(question(this.#redis), this.#timeoutMs)
    } catch (cause) {
      if (refusesOneQuestion(cause)) this.#complain(cause)
      else this.#lose(cause)
      throw new RedisAway('Redis has failed', { cause })
    }
  }

  away(): boolean {
    return this.#away
  }

  onBack(task: Task): void {
    this.#backTasks.push(task)
  }

  onClose(task: Task): void {
    this.#closeTasks.push(task)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#timer)
    if (!this.#away)
      for (const task of this.#closeTasks)
        await within(task(this.#redis), this.#timeoutMs).catch((err: unknown) => {
          this.#options.log.debug({ err }, 'Redis was left without a good-bye')
        })
    this.#away = true
    this.#redis.disconnect()
  }

  #lose(cause: unknown): void {
    const { onState, log } = this.#options
    if (this.#away || this.#closed) return
    this.#away = true
    onState(false)
    log.warn({ err: cause }, 'Redis is away: limits are kept as limits.whenRedisIsAway says')
    this.#probes = 0
    this.#schedule()
  }

  /** Logs one line per period: a client may ask without end. */
  #complain(cause: unknown): void {
    const nowMs = performance.now()
    if (nowMs < this.#silentUntilMs) return
    this.#silentUntilMs = nowMs + SILENCE_MS
    this.#options.log.warn(
      { err: cause },
      'Redis refused a question: that call is kept as if Redis were away',
    )
  }

  #schedule(): void {
    clearTimeout(this.#timer)
    if (!this.#closed) this.#timer = setTimeout(() => void this.#probe(), PROBE_MS).unref()
  }

  async #probe(): Promise<void> {
    const { onState, log } = this.#options
    const redis = this.#redis
    try {
      await within(redis.ping(), this.#timeoutMs)
      for (const task of this.#backTasks) await within(task(redis), this.#timeoutMs * 4)
    } catch (cause) {
      this.#firstError ??= cause
      this.#probes += 1
      if (this.#probes % PROBES_OF_CONNECTION === 0) redis.disconnect(true)
      this.#schedule()
      return
    }
    if (this.#closed) return
    this.#away = false
    onState(true)
    log.info({}, 'Redis answers: limits are shared between gateways')
  }
}

function within<T>(answer: Promise<T>, ms: number): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const clock = setTimeout(() => reject(new RedisAway(`Redis did not answer within ${ms} ms`)), ms)
  answer.then(resolve, reject)
  return promise.finally(() => clearTimeout(clock))
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref())
}
