/**
 * The sessions of one tenant's callers to one peer name, over all addresses that DNS gives for it. Load balancing: the
 * least loaded address first, unhealthy ones (outliers) last.
 */
import { MeshError } from '@clawmesh/proto'
import { createAddressHealth } from '../../net/address-health.ts'
import {
  type Attempt,
  type AttemptEnd,
  CONNECTION_ATTEMPT_DELAY_MS,
  raceConnections,
} from '../../net/happy-eyeballs.ts'
import type { ChainHeaders } from '../call.ts'
import { calleeRefusal } from '../live/fault-in-words.ts'
import type { PeerRoute } from '../route.ts'
import { dial } from './dial.ts'
import { createDialling } from './dialling.ts'
import type { Dials } from './dials.ts'
import { createKnownEndpoints } from './known-endpoints.ts'
import type { Endpoint } from './locate.ts'
import { createLocating } from './locating.ts'
import { refuseOwnEndpoint } from './own-endpoint.ts'
import { createHolders } from './replica.ts'
import { type UpstreamSession, wrapSession } from './session.ts'
import { UnreachedPeer } from './unreached-peer.ts'
import type { UpstreamSettings } from './upstreams-options.ts'

export interface Group {
  /**
   * A session with a place reserved for one stream.
   * @param about the delegation of the call: the call goes to its holder while that is reachable
   * @param failed a session to avoid, and its address too if there is another
   */
  acquire(about: About, failed?: UpstreamSession): UpstreamSession | Promise<UpstreamSession>
  /** The sessions take no new streams; open streams run to their end. */
  retire(): void
  destroy(): void
  /** True when the group can be dropped without loss. */
  idle(): boolean
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
  const { metrics, identity, spiffe, log, revocations } = settings
  const sessions = new Map<string, Set<UpstreamSession>>()
  const health = createAddressHealth({ firstMs: EJECT_MS, longestMs: EJECT_MAX_MS })
  const dialling = createDialling({ dials, keyOf, open: openSession })
  const locating = createLocating({
    ...{ ...settings, host: route.host, port: route.port },
    onFound({ endpoints }) {
      for (const endpoint of endpoints) known.know(endpoint)
      retireLeavers(endpoints)
    },
  })
  const holders = createHolders()
  const known = createKnownEndpoints(settings.marks, MAX_KNOWN)
  let turn = 0

  function acquire(
    about: About,
    failed?: UpstreamSession,
  ): UpstreamSession | Promise<UpstreamSession> {
    const { delegationId } = about
    if (delegationId === null && about.replica === null) return acquireAny(failed)
    return acquireFor(delegationId, about.replica, failed)
  }

  /** Finds the holder of the delegation; a replica that gets it now becomes its holder. */
  async function acquireFor(
    delegationId: string | null,
    shown: string | null,
    failed: UpstreamSession | undefined,
  ): Promise<UpstreamSession> {
    const mark = shown ?? (delegationId === null ? null : holders.of(delegationId))
    const session = await (mark === null ? acquireAny(failed) : acquireSlowly(failed, mark))
    // a holder that is unreachable for a moment still holds it
    const begins = mark === null || failed !== undefined
    if (begins && delegationId !== null && session.replica !== null)
      holders.remember(delegationId, session.replica)
    return session
  }

  function acquireAny(failed?: UpstreamSession): UpstreamSession | Promise<UpstreamSession> {
    const located = failed === undefined ? locating.current() : null
    if (located !== null) {
      const session = atHand(rank(located.endpoints)[0])
      if (session !== null) return session
    }
    return acquireSlowly(failed)
  }

  /** The least loaded session to an address, with a place reserved; null when none takes a stream. */
  function atHand(
    endpoint: Endpoint | undefined,
    failed?: UpstreamSession,
  ): UpstreamSession | null {
    if (endpoint === undefined) return null
    let best: UpstreamSession | null = null
    for (const session of sessions.get(keyOf(endpoint)) ?? [])
      if (
        session !== failed &&
        (best === null || session.active < best.active) &&
        session.reserve()
      ) {
        best?.release()
        best = session
      }
    return best
  }

  async function acquireSlowly(
    failed?: UpstreamSession,
    mark: string | null = null,
  ): Promise<UpstreamSession> {
    const { endpoints } = await locating.find()
    const holder = mark === null ? null : known.byMark(mark)
    const end = await raceConnections<Endpoint, UpstreamSession, unknown>(
      othersFirst(holderFirst(rank(endpoints), holder), failed),
      {
        ...{ health, keyOf },
        connect: (endpoint, attempt) => reach(endpoint, attempt, failed),
        discard: (session) => session.release(),
        delayMs: (endpoint, next) => {
          // only the holder has the task's state: it gets the whole time of a dial
          if (endpoint === holder) return Number.POSITIVE_INFINITY
          return next.priority > endpoint.priority ? LESS_WANTED_MS : CONNECTION_ATTEMPT_DELAY_MS
        },
      },
    )
    if ('connection' in end) return end.connection
    const { failure, address } = end.failures.at(-1) ?? {}
    const unreached = failure instanceof MeshError && failure.code.startsWith('MESH_PEER_')
    if (unreached && address !== undefined) throw new UnreachedPeer(failure, address)
    throw failure ?? new MeshError('MESH_PEER_UNREACHABLE')
  }

  /** A place on an existing or a new session to the address. */
  async function reach(
    endpoint: Endpoint,
    attempt: Attempt,
    failed: UpstreamSession | undefined,
  ): Promise<AttemptEnd<UpstreamSession, unknown>> {
    try {
      // calls that waited for one dial may fill its session: the others dial again
      for (let dials = 0; dials <= MAX_SESSIONS_PER_ENDPOINT; dials += 1) {
        const session = atHand(endpoint, failed)
        if (session !== null) return { connection: session }
        if ((sessions.get(keyOf(endpoint))?.size ?? 0) >= MAX_SESSIONS_PER_ENDPOINT) break
        await dialling.to(endpoint, attempt)
      }
      return { failure: tooMany('the peer takes no more streams') }
    } catch (failure) {
      return { failure }
    }
  }

  /** Sessions to addresses that DNS no longer names take no new streams. */
  function retireLeavers(endpoints: readonly Endpoint[]): void {
    const named = new Set(endpoints.map(keyOf))
    for (const [key, set] of sessions)
      if (!named.has(key)) for (const session of set) session.retire()
    health.keepOnly(named)
  }

  /** Best first: healthy, lowest SRV priority, fewest streams; ties take turns (round robin). */
  function rank(endpoints: readonly Endpoint[]): readonly Endpoint[] {
    if (endpoints.length === 1) return endpoints
    turn = (turn + 1) % endpoints.length
    return [...endpoints.slice(turn), ...endpoints.slice(0, turn)]
      .map((endpoint) => ({
        endpoint,
        ejected: health.mayTry(keyOf(endpoint)) ? 0 : 1,
        load: loadOf(keyOf(endpoint)),
      }))
      .sort(
        (a, b) =>
          a.ejected - b.ejected || a.endpoint.priority - b.endpoint.priority || a.load - b.load,
      )
      .map(({ endpoint }) => endpoint)
  }

  function loadOf(key: string): number {
    let load = 0
    for (const session of sessions.get(key) ?? []) load += session.active
    return load
  }

  async function openSession(endpoint: Endpoint, attempt: Attempt): Promise<void> {
    const key = keyOf(endpoint)
    const started = performance.now()
    const snapshot = identity.current()
    try {
      refuseOwnEndpoint(endpoint, settings.ownAddresses?.() ?? [], {
        host: route.host,
        configured: settings.staticPeers?.()?.[route.host] !== undefined,
      })
      const dialled = await dial({
        endpoint,
        host: route.host,
        peer: route.peer,
        snapshot,
        spiffe,
        timeoutMs: settings.dialTimeoutMs,
        attempt,
      })
      metrics.dial('delegation', (performance.now() - started) / 1000)
      if (dialled.session.remoteSettings.maxConcurrentStreams === 0) {
        dialled.session.close()
        throw tooMany('the peer takes no streams at all')
      }
      const { certificate } = dialled
      const revoked = revocations?.certificate(certificate) ?? null
      if (revoked !== null) {
        dialled.session.destroy()
        throw calleeRefusal(certificate.identity.id, revoked)
      }
      const set = sessions.get(key) ?? new Set<UpstreamSession>()
      const session = wrapSession(dialled.session, {
        peerId: certificate.identity.id,
        certificate,
        isGood: () => (revocations?.certificate(certificate) ?? null) === null,
        marks: settings.marks,
        ip: endpoint.ip,
        port: endpoint.port,
        notAfterMs: certificate.notAfter.getTime(),
        idleMs: settings.idleMs,
        pingMs: settings.pingMs,
        ageMs: settings.ageMs,
        onClose: () => {
          set.delete(session)
          if (set.size === 0 && sessions.get(key) === set) sessions.delete(key)
        },
      })
      set.add(session)
      sessions.set(key, set)
      // the certificate has changed during the dial: this session serves the waiting calls only
      if (identity.current().generation !== snapshot.generation) setImmediate(session.retire)
    } catch (cause) {
      log.debug({ peer: route.host, endpoint: key, err: cause }, 'a peer could not be dialled')
      throw cause
    }
  }

  const each = (act: (session: UpstreamSession) => void) => {
    for (const set of sessions.values()) for (const session of [...set]) act(session)
  }
  return {
    acquire,
    retire: () => each((session) => session.retire()),
    destroy: () => each((session) => session.destroy()),
    idle: () => sessions.size === 0 && dialling.size === 0 && !locating.underWay,
  }
}

/** The holder first, even when DNS no longer names it; the others in case it is unreachable. */
function holderFirst(endpoints: readonly Endpoint[], holder: Endpoint | null): readonly Endpoint[] {
  if (holder === null) return endpoints
  return [holder, ...endpoints.filter((one) => keyOf(one) !== keyOf(holder))]
}

/** Moves the address of the failed session to the end. */
function othersFirst(
  endpoints: readonly Endpoint[],
  failed: UpstreamSession | undefined,
): readonly Endpoint[] {
  if (failed === undefined) return endpoints
  const isFailed = ({ ip, port }: Endpoint) => ip === failed.ip && port === failed.port
  return [...endpoints.filter((one) => !isFailed(one)), ...endpoints.filter(isFailed)]
}

function keyOf(endpoint: Endpoint): string {
  return `${endpoint.ip} ${endpoint.port}`
}

function tooMany(message: string): MeshError {
  return new MeshError('MESH_LIMIT_CONCURRENCY', message, { retryAfterMs: EJECT_MS })
}
