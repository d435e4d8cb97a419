/** The order in which the addresses of a peer are tried: load balancing and session affinity. */
import { type Endpoint, keyOf } from './locate.ts'
import type { UpstreamSession } from './session.ts'

export interface Ranking {
  /** Best first: healthy, lowest SRV priority, fewest streams; ties take turns (round robin). */
  rank(endpoints: readonly Endpoint[]): readonly Endpoint[]
}

export interface RankingOptions {
  /** Whether an address is healthy. */
  mayTry(key: string): boolean
  /** The open streams to an address. */
  load(key: string): number
}

export function createRanking({ mayTry, load }: RankingOptions): Ranking {
  let turn = 0
  return {
    rank(endpoints) {
      if (endpoints.length === 1) return endpoints
      turn = (turn + 1) % endpoints.length
      return [...endpoints.slice(turn), ...endpoints.slice(0, turn)]
        .map((endpoint) => {
          const key = keyOf(endpoint)
          return { endpoint, ejected: mayTry(key) ? 0 : 1, load: load(key) }
        })
        .sort(
          (a, b) =>
            a.ejected - b.ejected || a.endpoint.priority - b.endpoint.priority || a.load - b.load,
        )
        .map(({ endpoint }) => endpoint)
    },
  }
}

/** The holder first, even when DNS no longer names it; the others in case it is unreachable. */
export function holderFirst(
  endpoints: readonly Endpoint[],
  holder: Endpoint | null,
): readonly Endpoint[] {
  if (holder === null) return endpoints
  return [holder, ...endpoints.filter((one) => keyOf(one) !== keyOf(holder))]
}

/** Moves the address of the failed session to the end. */
export function othersFirst(
  endpoints: readonly Endpoint[],
  failed: UpstreamSession | undefined,
): readonly Endpoint[] {
  if (failed === undefined) return endpoints
  const isFailed = ({ ip, port }: Endpoint) => ip === failed.ip && port === failed.port
  return [...endpoints.filter((one) => !isFailed(one)), ...endpoints.filter(isFailed)]
}
