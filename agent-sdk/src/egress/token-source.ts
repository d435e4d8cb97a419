/** Egress tokens, fresh when they are needed: one exchange at a time, a new one before the old one ends. */
import { MeshError, type Secret } from '@clawmesh/proto'
import type { Log } from '../log.ts'

export interface EgressToken {
  readonly token: Secret<string>
  /** Milliseconds since the epoch. */
  readonly expiresMs: number
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
  readonly now: () => number
}

// a token this near to its end may end on its way
const MARGIN_MS = 5_000
// of a token that lives for seconds, as that of a short task does, less: each use would ask for another
const MARGIN_SHARE = 0.1
// the last fifth of its life is for getting the next one
const REFRESH_SHARE = 0.2

export function createTokenSource({ exchange, log, now }: TokenSourceOptions): TokenSource {
  let current: (EgressToken & { readonly refreshMs: number; readonly staleMs: number }) | null =
    null
  let running: Promise<EgressToken> | null = null

  const renew = (traceparent: string): Promise<EgressToken> => {
    running ??= exchange(traceparent)
      .then((token) => {
        const life = Math.max(0, token.expiresMs - now())
        current = {
          ...token,
          refreshMs: token.expiresMs - life * REFRESH_SHARE,
          staleMs: token.expiresMs - Math.min(MARGIN_MS, life * MARGIN_SHARE),
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
      if (current === null || current.staleMs <= now()) return renew(traceparent)
      if (current.refreshMs <= now())
        renew(traceparent).catch((error: unknown) => {
          const code = error instanceof MeshError ? error.code : undefined
          log.warn(
            { code, err: error },
            'the egress token could not be renewed; the old one is kept',
          )
        })
      return current
    },
    refuse(token) {
      if (current?.token === token.token) current = null
    },
  }
}
