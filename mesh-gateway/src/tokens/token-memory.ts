/**
 * A bounded cache of verified tokens (it evicts the oldest entry; no LRU): for a minute, never past their expiry and
 * never across a change of keys. One cache serves all issuers; a cached token costs one hash and one look-up, and is
 * not parsed.
 */
import { hash } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'

/** Verifies the tokens of one issuer. */
export interface TokenSource<Claims> {
  /** @throws MeshError MESH_TOKEN_* */
  verify(token: string): Promise<Verified<Claims>>
  /** False for a key that is retired, unknown or past its time: its tokens are no longer accepted. */
  verifies(kid: string): boolean
  /** Called when keys have changed: tokens must be verified again. Returns the function that unsubscribes. */
  onChange(listener: () => void): () => void
}

export interface Verified<Claims> {
  readonly claims: Claims
  /** When it must be verified again at the latest, also if cached; milliseconds since the epoch. */
  readonly untilMs: number
}

export interface TokenMemoryOptions<Claims extends TimedClaims> {
  /** All sources that `choose` can return. */
  readonly sources: Iterable<TokenSource<Claims>>
  /** The source for the issuer that the token claims. Called only for tokens that are not cached. */
  readonly choose: (token: string) => TokenSource<Claims>
  /** How long a verified token is cached, in milliseconds. Default 60,000; 0 caches none. */
  readonly cacheMs?: number
  /** The number of tokens. Default 10,000. */
  readonly cacheSize?: number
  /** Called with the seconds of each verification that was not cached. */
  readonly onVerified?: (seconds: number) => void
  /** The clock of expiries, milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number
  /** The monotonic clock of `cacheMs`, in milliseconds. Default performance.now, or `now` when that is given. */
  readonly monotonicNow?: () => number
}

export interface SignedTokenVerifier<Claims> {
  /**
   * The claims synchronously when the token is cached, otherwise a promise. @throws MeshError MESH_TOKEN_*, either way
   */
  verify(token: string): Claims | Promise<Claims>
  /** True when `verify` would answer synchronously. */
  remembers(token: string): boolean
  /** Empties the cache and stops following keys. */
  close(): void
}

export interface TimedClaims {
  /** Seconds since the epoch. */
  readonly exp: number
}

interface Remembered<Claims> {
  readonly claims: Claims
  /** When the token ends, milliseconds since the epoch. */
  readonly untilMs: number
  /** When the entry expires, by the monotonic clock. */
  readonly forgetMs: number
  readonly source: TokenSource<Claims>
}

interface UnderWay<Claims> {
  readonly promise: Promise<Claims>
  readonly source: TokenSource<Claims>
}

/** Longer than any issued token; a longer text is refused unread. */
export const MAX_TOKEN_LENGTH = 8192

export function createTokenMemory<Claims extends TimedClaims>(
  options: TokenMemoryOptions<Claims>,
): SignedTokenVerifier<Claims> {
  const { choose, cacheMs = 60_000, cacheSize = 10_000, now = Date.now } = options
  const { monotonicNow = options.now ?? (() => performance.now()) } = options
  const remembered = new Map<string, Remembered<Claims>>()
  const underWay = new Map<string, UnderWay<Claims>>()
  /** The number of key changes of each source. */
  const epochs = new Map<TokenSource<Claims>, number>()
  const forget = (source: TokenSource<Claims>) => {
    epochs.set(source, (epochs.get(source) ?? 0) + 1)
    for (const [digest, one] of remembered) if (one.source === source) remembered.delete(digest)
    for (const [digest, one] of underWay) if (one.source === source) underWay.delete(digest)
  }
  const sources = [...options.sources]
  const stops = sources.map((source) => source.onChange(() => forget(source)))

  const holds = ({ untilMs, forgetMs }: Remembered<Claims>) =>
    now() < untilMs && monotonicNow() < forgetMs
  const remember = (
    digest: string,
    { claims, untilMs }: Verified<Claims>,
    source: TokenSource<Claims>,
  ) => {
    const until = Math.min(claims.exp * 1000, untilMs)
    if (until <= now() || cacheMs === 0 || cacheSize === 0) return
    if (remembered.size >= cacheSize) {
      const oldest = remembered.keys().next()
      if (!oldest.done) remembered.delete(oldest.value)
    }
    const forgetMs = monotonicNow() + cacheMs
    remembered.set(digest, { claims, untilMs: until, forgetMs, source })
  }

  const verifyAnew = async (
    token: string,
    digest: string,
    source: TokenSource<Claims>,
  ): Promise<Claims> => {
    const began = performance.now()
    const startedIn = epochs.get(source)
    const verified = await source.verify(token)
    // a change of keys has emptied the cache meanwhile: tokens verified with the old keys must not enter it
    if (epochs.get(source) === startedIn) remember(digest, verified, source)
    options.onVerified?.((performance.now() - began) / 1000)
    return verified.claims
  }

  return {
    verify(token) {
      if (token.length > MAX_TOKEN_LENGTH)
        throw new MeshError('MESH_TOKEN_MALFORMED', 'the token is too long')
      const digest = hash('sha256', token, 'base64')
      const known = remembered.get(digest)
      if (known !== undefined) {
        if (holds(known)) return known.claims
        remembered.delete(digest)
      }
      const joined = underWay.get(digest)
      if (joined !== undefined) return joined.promise
      const source = choose(token)
      const promise = verifyAnew(token, digest, source).finally(() => {
        if (underWay.get(digest)?.promise === promise) underWay.delete(digest)
      })
      underWay.set(digest, { promise, source })
      return promise
    },
    remembers(token) {
      if (token.length > MAX_TOKEN_LENGTH) return false
      const known = remembered.get(hash('sha256', token, 'base64'))
      return known !== undefined && holds(known)
    },
    close() {
      for (const stop of stops) stop()
      for (const source of sources) forget(source)
    },
  }
}
