/**
 * Rate and concurrency limits that several gateways share through Redis. While Redis is away, each gateway refuses or
 * counts by itself, as configured. The gateway always knows its own count and reports it with each renewal of the
 * lease, so that neither a dead gateway nor a Redis that lost its data leaves a wrong count.
 */
import { MeshError, uuidV7 } from '@clawmesh/proto'
import type { Redis } from 'ioredis'
import { createLimits } from '../create-limits.ts'
import { type Limits, type LimitUse, type Release, releaseOnce } from '../limits.ts'
import { RedisAway, type RedisLink } from './redis-link.ts'
import { refusesOneQuestion } from './reply-errors.ts'
import { ENTER, LEAVE, RENEW, TAKE } from './scripts.ts'

export type WhenRedisIsAway = 'refuse' | 'local'

export interface SharedLimitsOptions {
  readonly link: RedisLink
  readonly whenAway: WhenRedisIsAway
  /** The prefix of all keys. */
  readonly prefix: string
  /** Called when a call finds Redis away. */
  readonly onAway: (answer: WhenRedisIsAway) => void
  /** How long the count of a dead gateway still counts, in milliseconds. Default 15,000. */
  readonly leaseMs?: number
}

export interface SharedLimits extends Limits {
  /** Those that were asked for of late, the latest first. */
  usage(most: number): readonly LimitUse[]
  close(): void
}

interface Entry {
  /** The number inside now, of this gateway. */
  held: number
  /** Asked for, and not answered yet. */
  pending: number
  /** True when Redis may have another count. */
  doubtful: boolean
}

const LEASE_MS = 15_000
/** Keys renewed in one batch. */
const BATCH = 500
/** Limits that are remembered by name. */
const MAX_NAMED = 500

export function createSharedLimits(options: SharedLimitsOptions): SharedLimits {
  return new LimitsInRedis(options)
}

class LimitsInRedis implements SharedLimits {
  readonly #options: SharedLimitsOptions
  readonly #leaseMs: number
  readonly #local = createLimits()
  readonly #gateway = uuidV7()
  readonly #entries = new Map<string, Entry>()
  /** By kind and key, the latest last. */
  readonly #named = new Map<string, LimitUse>()
  readonly #heart: NodeJS.Timeout

  constructor(options: SharedLimitsOptions) {
    const { link, leaseMs = LEASE_MS } = options
    this.#options = options
    this.#leaseMs = leaseMs
    this.#heart = setInterval(() => {
      if (this.#entries.size > 0)
        link
          .ask((redis) => this.#renew(redis))
          .catch(() => {
            // the link has noticed, and reports all counts when Redis is back
          })
    }, leaseMs / 3).unref()
    link.onBack(async (redis) => {
      for (const entry of this.#entries.values()) entry.doubtful = true
      await this.#renew(redis)
    })
    link.onClose(async (redis) => {
      await Promise.all([...this.#entries.keys()].map((key) => redis.hdel(key, this.#gateway)))
    })
  }

  async take(key: string, perMinute: number, burst: number): Promise<number | null> {
    const { link, prefix } = this.#options
    if (perMinute <= 0) return 60_000
    this.#name({ key, kind: 'rate', used: null, most: Math.max(1, burst), per_minute: perMinute })
    try {
      const waitMs = await link.ask((redis) =>
        redis.eval(TAKE, 1, `${prefix}rate:${key}`, perMinute, Math.max(1, burst)),
      )
      return Number(waitMs) < 0 ? null : Number(waitMs)
    } catch (cause) {
      this.#meetAway(cause)
      return this.#local.take(key, perMinute, burst)
    }
  }

  async enter(key: string, max: number): Promise<Release | null> {
    const { link, prefix } = this.#options
    const name = `${prefix}inside:${key}`
    this.#name({ key, kind: 'at-once', used: null, most: max, per_minute: null })
    const entry = this.#entryOf(name)
    entry.pending += 1
    try {
      const room = await link.ask((redis) =>
        redis.eval(ENTER, 1, name, this.#gateway, max, this.#leaseMs),
      )
      return room === 1 ? this.#insideOf(name, entry) : null
    } catch (cause) {
      entry.doubtful = true
      this.#meetAway(cause)
      return entry.held < max ? this.#insideOf(name, entry) : null
    } finally {
      entry.pending -= 1
    }
  }

  usage(most: number): readonly LimitUse[] {
    return [...this.#named.values()].reverse().slice(0, most)
  }

  close(): void {
    clearInterval(this.#heart)
  }

  #name(use: LimitUse): void {
    const id = `${use.kind} ${use.key}`
    this.#named.delete(id)
    this.#named.set(id, use)
    if (this.#named.size <= MAX_NAMED) return
    const [oldest = ''] = this.#named.keys()
    this.#named.delete(oldest)
  }

  #entryOf(key: string): Entry {
    const known = this.#entries.get(key)
    if (known !== undefined) return known
    const fresh = { held: 0, pending: 0, doubtful: false }
    this.#entries.set(key, fresh)
    return fresh
  }

  /** @throws MeshError MESH_LIMIT_UNAVAILABLE as configured; any other error is rethrown */
  #meetAway(cause: unknown): void {
    const { whenAway, onAway } = this.#options
    if (!(cause instanceof RedisAway)) throw cause
    onAway(whenAway)
    if (whenAway === 'refuse')
      throw new MeshError('MESH_LIMIT_UNAVAILABLE', undefined, { cause, retryAfterMs: 1_000 })
  }

  #insideOf(key: string, entry: Entry): Release {
    const { link } = this.#options
    entry.held += 1
    return releaseOnce(() => {
      entry.held -= 1
      if (link.away()) entry.doubtful = true
      else
        link
          .ask((redis) => redis.eval(LEAVE, 1, key, this.#gateway))
          .catch(() => {
            // the next renewal reports it
            entry.doubtful = true
          })
    })
  }

  async #renew(redis: Redis): Promise<void> {
    const all = [...this.#entries]
    for (let at = 0; at < all.length; at += BATCH) {
      const batch = all.slice(at, at + BATCH)
      await Promise.all(batch.map(([key, entry]) => this.#renewOne(redis, key, entry)))
    }
  }

  async #renewOne(redis: Redis, key: string, entry: Entry): Promise<void> {
    const { held, pending, doubtful } = entry
    if (held === 0 && pending === 0 && !doubtful) {
      this.#entries.delete(key)
      return
    }
    // while questions are pending, only Redis knows the count
    const count = pending === 0 ? held : -1
    if (count >= 0) entry.doubtful = false
    try {
      await redis.eval(RENEW, 1, key, this.#gateway, this.#leaseMs, count)
    } catch (cause) {
      entry.doubtful = true
      // a key with another type in Redis must not stop the renewal of the others
      if (!refusesOneQuestion(cause)) throw cause
    }
  }
}
