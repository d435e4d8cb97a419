/** Rate limits (token buckets) and concurrency limits, per key. The planes make the keys: `egress:acme/bot-01`. */
export interface Limits {
  /** Takes one token from the bucket of `key`. Null when granted, else the wait until the next one, in milliseconds. */
  take(key: string, perMinute: number, burst: number): MaybePromise<number | null>
  /** Enters if fewer than `max` are inside. Returns the release, to be called once, or null when full. */
  enter(key: string, max: number): MaybePromise<Release | null>
}

/** How full a limit is: `used` of `most`. Of a rate, what is taken of the burst at this moment. */
export interface LimitUse {
  /** E.g. `egress:acme/bot-01`. */
  readonly key: string
  readonly kind: 'rate' | 'at-once'
  /** Null: Redis counts it, for all gateways together. */
  readonly used: number | null
  readonly most: number
  /** Null for a number at once. */
  readonly per_minute: number | null
}

/** Synchronous: counted in this process. */
export interface LocalLimits extends Limits {
  /** The fullest first. Goes through all keys in use. @param most how many */
  usage(most: number): readonly LimitUse[]
  take(key: string, perMinute: number, burst: number): number | null
  enter(key: string, max: number): Release | null
}

export type Release = () => void

/** Makes a release idempotent. */
export function releaseOnce(release: () => void): Release {
  let left = false
  return () => {
    if (left) return
    left = true
    release()
  }
}

/** Synchronous unless another process must be asked: a promise costs more than the counting. */
export type MaybePromise<T> = T | Promise<T>
