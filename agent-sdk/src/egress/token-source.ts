/** Egress tokens, fresh when they are needed: one exchange at a time, a new one before the old one ends. */
import { MeshError, type Secret } from '@clawmesh/proto'
import type { Log } from '../log.ts'

export interface EgressToken {
  readonly token: Secret<string>
  /** Milliseconds since the epoch. */
  readonly expiresMs: number
  /** The certificate that it is bound to: SHA-256, lower-case hexadecimal. Null: a bearer token. */
  readonly boundTo: string | null
}

export interface TokenSource {
  /** @param traceparent for an exchange, when one is needed. @throws MeshError of the exchange, when there is no token that still holds */
  get(traceparent: string): Promise<EgressToken>
  /** The gateway did not take it: the next one asked for is another. */
  refuse(token: EgressToken): void
}

export interface TokenSourceOptions {
  readonly exchange: (traceparent: string) => Promise<EgressToken>
  readonly log: Log
  /** The clock of `expiresMs`. */
  readonly now: () => number
  /** Counts the life of a token as well, since the other clock may be set back. Milliseconds. Default performance.now. */
  readonly monotonicNow?: () => number
  /** Of the certificate that bound tokens have to be bound to now, as `boundTo`. Default: that of the token. */
  readonly certificate?: () => string
}

// a token this near to its end may end on its way
const MARGIN_MS = 5_000
// of a token that lives for seconds, as that of a short task does, less: each use would ask for another
const MARGIN_SHARE = 0.1
// the last fifth of its life is for getting the next one
const REFRESH_SHARE = 0.2

interface Held extends EgressToken {
  /** By the monotonic clock, as `staleMs`. */
  readonly refreshMs: number
  readonly staleMs: number
  /** Milliseconds since the epoch. */
  readonly staleAtMs: number
}

export function createTokenSource({
  exchange,
  log,
  now,
  monotonicNow = () => performance.now(),
  certificate,
}: TokenSourceOptions): TokenSource {
  let current: Held | null = null
  let running: Promise<EgressToken> | null = null
  const isStale = ({ staleMs, staleAtMs }: Held) => staleMs <= monotonicNow() || staleAtMs <= now()

  const renew = (traceparent: string): Promise<EgressToken> => {
    running ??= exchange(traceparent)
      .then((token) => {
        const life = Math.max(0, token.expiresMs - now())
        const [begunMs, margin] = [monotonicNow(), Math.min(MARGIN_MS, life * MARGIN_SHARE)]
        current = {
          ...token,
          refreshMs: begunMs + life * (1 - REFRESH_SHARE),
          staleMs: begunMs + life - margin,
          // a machine that sleeps may not count the time
          staleAtMs: token.expiresMs - margin,
        }
        return current
      })
      .finally(() => {
        running = null
      })
    return running
  }
  return {
    async get(traceparent) {
      if (current === null || isStale(current)) return renew(traceparent)
      const known = current
      const kept = (error: unknown) => {
        const code = error instanceof MeshError ? error.code : undefined
        log.warn({ code, err: error }, 'the egress token could not be renewed; the old one is kept')
        return known
      }
      // of a certificate that was renewed: still good with the old one, as long as that is
      if (known.boundTo !== null && certificate !== undefined && known.boundTo !== certificate())
        return renew(traceparent).catch(kept)
      if (known.refreshMs <= monotonicNow()) void renew(traceparent).catch(kept)
      return known
    },
    refuse(token) {
      if (current?.token === token.token) current = null
    },
  }
}
