/**
 * Caches the keys of one external issuer. Fetches them on demand, one fetch at a time, and again when they are old or a
 * token names an unknown key; never twice within the cool-down, however many tokens ask. When the issuer is unavailable
 * or sends an invalid answer, the last good keys stay for an hour.
 */
import type { MeshError } from '@clawmesh/proto'
import { createLocalJWKSet, type JWTVerifyGetKey } from 'jose'
import { issuerUnavailable } from './issuer-unavailable.ts'
import type { ReadJwks } from './read-jwks.ts'

export interface KeepKeysOptions {
  /** Rejects when there are no usable keys. */
  readonly fetch: () => Promise<FetchedKeys>
  /** Called after each attempt, with the keys or the error. */
  readonly onAttempt?: (found: FetchedKeys | { readonly error: unknown }) => void
  /** The clock of `untilMs`, milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number
  /** The monotonic clock for ages, in milliseconds. Default performance.now, or `now` when that is given. */
  readonly monotonicNow?: () => number
}

export interface FetchedKeys extends ReadJwks {
  /** How long the keys are used before the next fetch, in milliseconds. */
  readonly freshMs: number
}

export interface IssuerKeys {
  readonly find: JWTVerifyGetKey
  readonly digest: string
}

export interface KeptKeys {
  /** @throws MeshError MESH_TOKEN_ISSUER_UNAVAILABLE when there are none, and a fetch fails */
  current(): Promise<IssuerKeys>
  /** Other keys than these, if the issuer has new ones; null when it has not, or was asked a moment ago. */
  otherThan(keys: IssuerKeys): Promise<IssuerKeys | null>
  /**
   * False for a key that the issuer has removed from its set. True while no keys are known: then the expiry of its
   * tokens bounds them.
   */
  holds(kid: string): boolean
  /** When verified tokens must be verified again, milliseconds since the epoch. */
  untilMs(): number
  /** Fetches now. */
  reload(): Promise<void>
  onChange(listener: () => void): () => void
  /** Ignores later answers. */
  close(): void
}

interface Kept extends IssuerKeys {
  readonly kids: ReadonlySet<unknown>
  /** By the monotonic clock. */
  readonly fetchedMs: number
  readonly freshMs: number
}

/** After an attempt, successful or not, in milliseconds. */
const COOL_DOWN_MS = 30_000
/** How long the last good keys are used without new ones, in milliseconds. */
const LAST_GOOD_MS = 3_600_000
/** After this part of their time the keys are fetched in the background, so that no token waits. */
const AHEAD = 0.8
/** Maximum tokens that wait for one fetch. */
const MAX_WAITING = 1000

export function keepKeys(options: KeepKeysOptions): KeptKeys {
  return new Keeper(options)
}

class Keeper implements KeptKeys {
  readonly #options: KeepKeysOptions
  readonly #now: () => number
  readonly #monotonicNow: () => number
  readonly #listeners = new Set<() => void>()
  #kept: Kept | null = null
  #attemptedMs: number | null = null
  #failing = false
  #running: Promise<void> | null = null
  #waiting = 0
  #closed = false

  constructor(options: KeepKeysOptions) {
    this.#options = options
    this.#now = options.now ?? Date.now
    this.#monotonicNow = options.monotonicNow ?? options.now ?? (() => performance.now())
  }

  async current(): Promise<IssuerKeys> {
    const age = this.#kept === null ? Infinity : this.#since(this.#kept.fetchedMs)
    const freshFor = this.#kept?.freshMs ?? 0
    if (age >= freshFor * AHEAD && this.#mayFetch()) {
      const fetching = this.reload()
      // with good keys at hand, no token waits for an issuer that is known to fail
      if (this.#usable() === null || (age >= freshFor && !this.#failing))
        await this.#waitFor(fetching)
    }
    const keys = this.#usable()
    if (keys === null) throw this.#unavailable()
    return keys
  }

  async otherThan({ digest }: IssuerKeys): Promise<IssuerKeys | null> {
    if (this.#kept?.digest === digest && this.#mayFetch()) await this.#waitFor(this.reload())
    const keys = this.#usable()
    return keys === null || keys.digest === digest ? null : keys
  }

  holds(kid: string): boolean {
    return this.#kept?.kids.has(kid) ?? true
  }

  untilMs(): number {
    if (this.#kept === null) return 0
    const { fetchedMs, freshMs } = this.#kept
    const again = Math.max(fetchedMs + freshMs, (this.#attemptedMs ?? 0) + COOL_DOWN_MS)
    return this.#now() + Math.min(again, fetchedMs + LAST_GOOD_MS) - this.#monotonicNow()
  }

  /** Never rejects. */
  reload(): Promise<void> {
    this.#running ??= this.#attempt().finally(() => {
      this.#running = null
    })
    return this.#running
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  close(): void {
    this.#closed = true
    this.#listeners.clear()
  }

  async #attempt(): Promise<void> {
    const { onAttempt } = this.#options
    const startedMs = this.#monotonicNow()
    this.#attemptedMs = startedMs
    let found: FetchedKeys
    try {
      found = await this.#options.fetch()
    } catch (error) {
      this.#failing = true
      if (!this.#closed) onAttempt?.({ error })
      return
    }
    if (this.#closed) return
    this.#failing = false
    this.#take(found, startedMs)
  }

  #take(found: FetchedKeys, fetchedMs: number): void {
    const { digest, freshMs } = found
    const before = this.#kept
    const find =
      before?.digest === digest ? before.find : createLocalJWKSet({ keys: [...found.keys] })
    const kids = new Set(found.keys.map(({ kid }) => kid))
    this.#kept = { find, digest, freshMs, kids, fetchedMs }
    this.#options.onAttempt?.(found)
    if (before === null || before.digest === digest) return
    for (const listener of this.#listeners) listener()
  }

  #since(ms: number): number {
    return this.#monotonicNow() - ms
  }

  #mayFetch(): boolean {
    if (this.#closed) return false
    if (this.#running !== null || this.#attemptedMs === null) return true
    return this.#since(this.#attemptedMs) >= COOL_DOWN_MS
  }

  async #waitFor(fetching: Promise<void>): Promise<void> {
    if (this.#waiting >= MAX_WAITING) throw this.#unavailable()
    this.#waiting += 1
    try {
      await fetching
    } finally {
      this.#waiting -= 1
    }
  }

  #unavailable(): MeshError {
    const waitMs = this.#attemptedMs === null ? 0 : COOL_DOWN_MS - this.#since(this.#attemptedMs)
    const retryAfterMs = Math.min(COOL_DOWN_MS, Math.max(1000, waitMs))
    return issuerUnavailable(undefined, { retryAfterMs })
  }

  #usable(): Kept | null {
    const kept = this.#kept
    return kept !== null && this.#since(kept.fetchedMs) < LAST_GOOD_MS ? kept : null
  }
}
