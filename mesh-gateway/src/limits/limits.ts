/** Rates and concurrency, per key, in this process. Keys are made by the planes: `egress:acme/bot-01`. */
export interface Limits {
  /** Takes one from the bucket of `key`. Null when granted, otherwise how long until the next one, in milliseconds. */
  take(key: string, perMinute: number, burst: number): number | null
  /** Enters if fewer than `max` are inside. Returns what to call once on leaving, or null when full. */
  enter(key: string, max: number): (() => void) | null
}
