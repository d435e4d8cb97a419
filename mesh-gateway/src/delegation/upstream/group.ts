/**
 * The sessions of one tenant's callers to one peer name, over all addresses that DNS gives for it. Load balancing: the
 * least loaded address first, unhealthy ones (outliers) last.
 */
import { MeshError } from '@clawmesh/proto'
import type { AddressState } from '../../live/peer-state.ts'
import { createAddressHealth } from '../../net/address-health.ts'
import {
  type Attempt,
  type AttemptEnd,
  CONNECTION_ATTEMPT_DELAY_MS,
  type RaceEnd,
  raceConnections,
} from '../../net/happy-eyeballs.ts'
import type { ChainHeaders } from '../call.ts'
import type { PeerRoute } from '../route.ts'
import { createDialling, type Dialling } from './dialling.ts'
import type { Dials } from './dials.ts'
import { createHeldSessions } from './held-sessions.ts'
import { createKnownEndpoints, type KnownEndpoints } from './known-endpoints.ts'
import { type Endpoint, keyOf } from './locate.ts'
import { createLocating, type Locating } from './locating.ts'
import { openSession, tooMany } from './open-session.ts'
import { createRanking, holderFirst, othersFirst } from './ranking.ts'
import { createHolders } from './replica.ts'
import type { UpstreamSession } from './session.ts'
import { UnreachedPeer } from './unreached-peer.ts'
import type { UpstreamSettings } from './upstreams-options.ts'

export interface Group {
  readonly route: PeerRoute
  /**
   * A session with a place reserved for one stream.
   * @param about the delegation of the call: the call goes to its holder while that is reachable
   * @param failed a session to avoid, and its address too if there is another
   */
  acquire(about: About, failed?: UpstreamSession): UpstreamSession | Promise<UpstreamSession>
  /** The sessions take no new streams; open streams run to their end. */
  retire(): void
  /** Ends its sessions and the connections that are being made, for good. */
  destroy(): void
  /** True when the group can be dropped without loss. */
  idle(): boolean
  /** The addresses that DNS named last, and those with sessions. */
  addresses(): readonly AddressState[]
}

type About = Pick<ChainHeaders, 'delegationId' | 'replica'>

const MAX_KNOWN = 256
const MAX_SESSIONS_PER_ENDPOINT = 16
/** Circuit breaker: how long a failing (unhealthy) address is ejected, in milliseconds; doubles with each failure. */
const EJECT_MS = 1_000
const EJECT_MAX_MS = 30_000
/** The head start of an address before one of a later SRV priority is tried, in milliseconds (RFC 2782). */
const LESS_WANTED_MS = 1_000

export function createGroup(route: PeerRoute, settings: UpstreamSettings, dials: Dials): Group {
  return new PeerGroup(route, settings, dials)
}

class PeerGroup implements Group {
  readonly route: PeerRoute
  readonly #sessions = createHeldSessions()
  readonly #health = createAddressHealth({ firstMs: EJECT_MS, longestMs: EJECT_MAX_MS })
  readonly #holders = createHolders()
  readonly #ranking = createRanking({
    mayTry: (key) => this.#health.mayTry(key),
    load: (key) => this.#sessions.load(key),
  })
  readonly #known: KnownEndpoints
  readonly #dialling: Dialling
  readonly #locating: Locating

  constructor(route: PeerRoute, settings: UpstreamSettings, dials: Dials) {
    this.route = route
    this.#known = createKnownEndpoints(settings.marks, MAX_KNOWN)
    this.#dialling = createDialling({
      dials,
      open: (endpoint, attempt) => openSession(endpoint, attempt, route, settings, this.#sessions),
    })
    const { resolver, metrics, log, peerPorts, staticPeers } = settings
    this.#locating = createLocating({
      ...{ resolver, metrics, log, peerPorts, staticPeers, host: route.host, port: route.port },
      onFound: ({ endpoints }) => this.#onFound(endpoints),
    })
  }

  acquire(
    { delegationId, replica }: About,
    failed?: UpstreamSession,
  ): UpstreamSession | Promise<UpstreamSession> {
    if (delegationId === null && replica === null) return this.#acquireAny(failed)
    return this.#acquireFor(delegationId, replica, failed)
  }

  retire(): void {
    this.#sessions.each((session) => session.retire())
  }

  destroy(): void {
    this.#dialling.close()
    this.#sessions.each((session) => session.destroy())
  }

  idle(): boolean {
    return this.#sessions.size === 0 && this.#dialling.size === 0 && !this.#locating.underWay
  }

  addresses(): readonly AddressState[] {
    const endpoints = new Map<string, Pick<Endpoint, 'ip' | 'port'>>()
    for (const one of this.#locating.last?.endpoints ?? []) endpoints.set(keyOf(one), one)
    this.#sessions.each(({ ip, port }) => {
      if (ip !== null && port !== null) endpoints.set(keyOf({ ip, port }), { ip, port })
    })
    return [...endpoints].map(([key, { ip, port }]) => {
      const { avoidedMs = 0, failures = 0 } = this.#health.state(key) ?? {}
      const sessions = this.#sessions.count(key)
      const streams = this.#sessions.load(key)
      return { ip, port, sessions, streams, avoided_ms: Math.ceil(avoidedMs), failures }
    })
  }

  /** Finds the holder of the delegation; a replica that gets it now becomes its holder. */
  async #acquireFor(
    delegationId: string | null,
    shown: string | null,
    failed: UpstreamSession | undefined,
  ): Promise<UpstreamSession> {
    const mark = shown ?? (delegationId === null ? null : this.#holders.of(delegationId))
    const session = await (mark === null
      ? this.#acquireAny(failed)
      : this.#acquireSlowly(failed, mark))
    // a holder that is unreachable for a moment still holds it
    const begins = mark === null || failed !== undefined
    if (begins && delegationId !== null && session.replica !== null)
      this.#holders.remember(delegationId, session.replica)
    return session
  }

  #acquireAny(failed?: UpstreamSession): UpstreamSession | Promise<UpstreamSession> {
    const located = failed === undefined ? this.#locating.current() : null
    const best = located === null ? undefined : this.#ranking.rank(located.endpoints)[0]
    const session = best === undefined ? null : this.#sessions.reserve(keyOf(best))
    return session ?? this.#acquireSlowly(failed)
  }

  async #acquireSlowly(
    failed?: UpstreamSession,
    mark: string | null = null,
  ): Promise<UpstreamSession> {
    const { endpoints } = await this.#locating.find()
    const holder = mark === null ? null : this.#known.byMark(mark)
    const ranked = holderFirst(this.#ranking.rank(endpoints), holder)
    const end = await raceConnections<Endpoint, UpstreamSession, unknown>(
      othersFirst(ranked, failed),
      {
        ...{ health: this.#health, keyOf },
        connect: (endpoint, attempt) => this.#reach(endpoint, attempt, failed),
        discard: (session) => session.release(),
        delayMs: (endpoint, next) => {
          // only the holder has the task's state: it gets the whole time of a dial
          if (endpoint === holder) return Number.POSITIVE_INFINITY
          return next.priority > endpoint.priority ? LESS_WANTED_MS : CONNECTION_ATTEMPT_DELAY_MS
        },
      },
    )
    if ('connection' in end) return end.connection
    throw failureOf(end.failures)
  }

  /** A place on an existing or a new session to the address. */
  async #reach(
    endpoint: Endpoint,
    attempt: Attempt,
    failed: UpstreamSession | undefined,
  ): Promise<AttemptEnd<UpstreamSession, unknown>> {
    const key = keyOf(endpoint)
    try {
      // calls that waited for one dial may fill its session: the others dial again
      for (let dials = 0; dials <= MAX_SESSIONS_PER_ENDPOINT; dials += 1) {
        const session = this.#sessions.reserve(key, failed)
        if (session !== null) return { connection: session }
        if (this.#sessions.count(key) >= MAX_SESSIONS_PER_ENDPOINT) break
        await this.#dialling.to(endpoint, attempt)
      }
      return { failure: tooMany('the peer takes no more streams') }
    } catch (failure) {
      return { failure }
    }
  }

  /** Sessions to addresses that DNS no longer names take no new streams. */
  #onFound(endpoints: readonly Endpoint[]): void {
    for (const endpoint of endpoints) this.#known.know(endpoint)
    const named = new Set(endpoints.map(keyOf))
    this.#sessions.retireOthers(named)
    this.#health.keepOnly(named)
  }
}

type Failures = Extract<
  RaceEnd<Endpoint, UpstreamSession, unknown>,
  { readonly failures: unknown }
>['failures']

/** The last failure; with its address, when the peer was not reached. */
function failureOf(failures: Failures): unknown {
  const { failure, address } = failures.at(-1) ?? {}
  const unreached = failure instanceof MeshError && failure.code.startsWith('MESH_PEER_')
  if (unreached && address !== undefined) return new UnreachedPeer(failure, address)
  return failure ?? new MeshError('MESH_PEER_UNREACHABLE')
}
