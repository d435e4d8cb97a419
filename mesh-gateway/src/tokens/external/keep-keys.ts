/**
 * Keeps the keys of one issuer. They are fetched for whoever needs them, one fetch at a time, and again when they have grown
 * old or a token names one that is not among them; never twice within the cool-down, however many tokens ask. When the
 * issuer is away or answers rubbish, the last good ones stay for an hour.
 */
import { createLocalJWKSet, type JWTVerifyGetKey } from 'jose'
import { issuerUnavailable } from './issuer-unavailable.ts'
import type { ReadJwks } from './read-jwks.ts'

export interface KeepKeysOptions {
  /** Rejects when there are none that can be used. */
  readonly fetch: () => Promise<FetchedKeys>
  /** Told of each attempt; the error: why it failed. */
  readonly onAttempt?: (found: FetchedKeys | { readonly error: unknown }) => void
  /** The clock of `untilMs`, milliseconds since the epoch. Default the system's. */
  readonly now?: () => number
  /** The clock that ages are counted by, which nobody sets, in milliseconds. Default performance.now, or `now` when that is given. */
  readonly monotonicNow?: () => number
}

export interface FetchedKeys extends ReadJwks {
  /** How long they are used before they are fetched anew, in milliseconds. */
  readonly freshMs: number
}

export interface IssuerKeys {
  readonly find: JWTVerifyGetKey
  readonly digest: string
}

export interface KeptKeys {
  /** @throws MeshError MESH_TOKEN_ISSUER_UNAVAILABLE when there are none, and none to be had */
  current(): Promise<IssuerKeys>
  /** Others than these, when the issuer has others by now; null when it has not, or was asked a moment ago. */
  otherThan(keys: IssuerKeys): Promise<IssuerKeys | null>
  /** False of a key that the issuer has taken out of its set. True while none are known: then the life of its tokens bounds them. */
  holds(kid: string): boolean
  /** What they have verified must be verified again then, milliseconds since the epoch. */
  untilMs(): number
  /** Fetches now. */
  reload(): Promise<void>
  onChange(listener: () => void): () => void
  /** What comes after it is not taken. */
  close(): void
}

interface Kept extends IssuerKeys {
  readonly kids: ReadonlySet<unknown>
  /** By the monotonic clock. */
  readonly fetchedMs: number
  readonly freshMs: number
}

/** After an attempt, good or bad. */
const COOL_DOWN_MS = 30_000
/** How long the last good ones are used when no others come. */
const LAST_GOOD_MS = 3_600_000
/** In the last part of their time they are fetched while the old ones are still used, so that no token waits. */
const AHEAD = 0.8
/** Tokens that may wait for one fetch. */
const MAX_WAITING = 1000

export function keepKeys(options: KeepKeysOptions): KeptKeys {
  const { onAttempt = () => {}, now = Date.now } = options
  const { monotonicNow = options.now ?? (() => performance.now()) } = options
  const listeners = new Set<() => void>()
  let kept: Kept | null = null
  let attemptedMs: number | null = null
  let failing = false
  let running: Promise<void> | null = null
  let waiting = 0
  let closed = false

  const since = (ms: number) => monotonicNow() - ms
  const mayFetch = () =>
    !closed && (running !== null || attemptedMs === null || since(attemptedMs) >= COOL_DOWN_MS)

  const attempt = async () => {
    const startedMs = monotonicNow()
    attemptedMs = startedMs
    let found: FetchedKeys
    try {
      found = await options.fetch()
    } catch (error) {
      failing = true
      if (!closed) onAttempt({ error })
      return
    }
    if (closed) return
    failing = false
    const { digest, freshMs } = found
    const before = kept
    const find =
      before?.digest === digest ? before.find : createLocalJWKSet({ keys: [...found.keys] })
    const kids = new Set(found.keys.map(({ kid }) => kid))
    kept = { find, digest, freshMs, kids, fetchedMs: startedMs }
    onAttempt(found)
    if (before !== null && before.digest !== digest) for (const listener of listeners) listener()
  }
  /** Never rejects. */
  const fetch = (): Promise<void> => {
    running ??= attempt().finally(() => {
      running = null
    })
    return running
  }
  const waitFor = async (fetching: Promise<void>) => {
    if (waiting >= MAX_WAITING) throw unavailable()
    waiting += 1
    try {
      await fetching
    } finally {
      waiting -= 1
    }
  }
  const unavailable = () => {
    const waitMs = attemptedMs === null ? 0 : COOL_DOWN_MS - since(attemptedMs)
    const retryAfterMs = Math.min(COOL_DOWN_MS, Math.max(1000, waitMs))
    return issuerUnavailable(undefined, { retryAfterMs })
  }
  const usable = () => (kept !== null && since(kept.fetchedMs) < LAST_GOOD_MS ? kept : null)

  return {
    async current() {
      const age = kept === null ? Infinity : since(kept.fetchedMs)
      const freshFor = kept?.freshMs ?? 0
      if (age >= freshFor * AHEAD && mayFetch()) {
        const fetching = fetch()
        // who is known to be away is not waited for while there are good keys
        if (usable() === null || (age >= freshFor && !failing)) await waitFor(fetching)
      }
      const keys = usable()
      if (keys === null) throw unavailable()
      return keys
    },
    async otherThan({ digest }) {
      if (kept?.digest === digest && mayFetch()) await waitFor(fetch())
      const keys = usable()
      return keys === null || keys.digest === digest ? null : keys
    },
    holds: (kid) => kept?.kids.has(kid) ?? true,
    untilMs() {
      if (kept === null) return 0
      const again = Math.max(kept.fetchedMs + kept.freshMs, (attemptedMs ?? 0) + COOL_DOWN_MS)
      return now() + Math.min(again, kept.fetchedMs + LAST_GOOD_MS) - monotonicNow()
    },
    reload: fetch,
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    close() {
      closed = true
      listeners.clear()
    },
  }
}
