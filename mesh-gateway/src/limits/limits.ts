/** Rates and concurrency, per key. Keys are made by the planes: `egress:acme/bot-01`. */
export interface Limits {
  /** Takes one from the bucket of `key`. Null when granted, otherwise how long until the next one, in milliseconds. */
  take(key: string, perMinute: number, burst: number): MaybePromise<number | null>
  /** Enters if fewer than `max` are inside. Returns what to call once on leaving, or null when full. */
  enter(key: string, max: number): MaybePromise<Release | null>
}

/** At once: counted in this process. */
export interface LocalLimits extends Limits {
  take(key: string, perMinute: number, burst: number): number | null
  enter(key: string, max: number): Release | null
}

export type Release = () => void

/** One who releases twice releases once. */
export function releaseOnce(release: () => void): Release {
  let left = false
  return () => {
    if (left) return
    left = true
    release()
  }
}

/** At once where nobody else has to be asked: a promise costs more than the counting. */
export type MaybePromise<T> = T | Promise<T>
