/** The sessions of one tenant's callers to one peer name, over all addresses that DNS gives for it. */
import { MeshError } from '@clawmesh/proto'
import type { ChainHeaders } from '../call.ts'
import { calleeRefusal } from '../live/fault-in-words.ts'
import { dial } from './dial.ts'
import type { Dials } from './dials.ts'
import { createKnownEndpoints } from './known-endpoints.ts'
import { type Endpoint, type Located, locate, Unresolved } from './locate.ts'
import { createHolders } from './replica.ts'
import { type UpstreamSession, wrapSession } from './session.ts'
import type { PeerRoute, UpstreamsOptions } from './upstreams.ts'

export interface Group {
  /**
   * A session with a place kept for one stream.
   * @param about the delegation that the call is about: it goes where that is held, as long as that can be reached
   * @param failed not this one, and if there is another address, not that one
   */
  acquire(about: About, failed?: UpstreamSession): UpstreamSession | Promise<UpstreamSession>
  /** No session carries on but for the streams it has. */
  retire(): void
  destroy(): void
  /** True when nothing would be lost by forgetting it. */
  idle(): boolean
}

type Settings = UpstreamsOptions &
  Required<
    Pick<UpstreamsOptions, 'dialTimeoutMs' | 'idleMs' | 'pingMs' | 'ageMs' | 'peerPorts' | 'marks'>
  >

interface Failure {
  readonly count: number
  readonly until: number
}

type About = Pick<ChainHeaders, 'delegationId' | 'replica'>

const MAX_KNOWN = 256
const MAX_SESSIONS_PER_ENDPOINT = 16
/** An address that failed is avoided this long, doubling with each failure. */
const EJECT_MS = 1_000
const EJECT_MAX_MS = 30_000
/** How long a stale answer is used before DNS is asked again. */
const STALE_MS = 1_000

export function createGroup(route: PeerRoute, settings: Settings, dials: Dials): Group {
  const { resolver, metrics, identity, spiffe, log, revocations } = settings
  const sessions = new Map<string, Set<UpstreamSession>>()
  const dialling = new Map<string, Promise<void>>()
  const failures = new Map<string, Failure>()
  let located: (Located & { readonly expires: number }) | null = null
  let locating: Promise<Located> | null = null
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

  /** Where the delegation is held; and where it is sent now, it is held from now on. */
  async function acquireFor(
    delegationId: string | null,
    shown: string | null,
    failed: UpstreamSession | undefined,
  ): Promise<UpstreamSession> {
    const mark = shown ?? (delegationId === null ? null : holders.of(delegationId))
    const session = await (mark === null ? acquireAny(failed) : acquireSlowly(failed, mark))
    // a holder that cannot be reached for a moment still holds it
    const begins = mark === null || failed !== undefined
    if (begins && delegationId !== null && session.replica !== null)
      holders.remember(delegationId, session.replica)
    return session
  }

  function acquireAny(failed?: UpstreamSession): UpstreamSession | Promise<UpstreamSession> {
    if (failed === undefined && located !== null && located.expires > performance.now()) {
      const session = atHand(rank(located.endpoints)[0])
      if (session !== null) return session
    }
    return acquireSlowly(failed)
  }

  /** The least loaded session to an address, with a place kept; null when none takes a stream. */
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
    const { endpoints } = await locateOnce()
    let last: unknown = new MeshError('MESH_PEER_UNREACHABLE')
    for (const endpoint of othersFirst(holderFirst(rank(endpoints), mark), failed)) {
      try {
        // those who waited for one dial may fill its session: then the rest dial again
        for (let dials = 0; dials <= MAX_SESSIONS_PER_ENDPOINT; dials += 1) {
          const session = atHand(endpoint, failed)
          if (session !== null) return session
          await dialOnce(endpoint)
        }
      } catch (cause) {
        last = cause
      }
    }
    throw last
  }

  async function locateOnce(): Promise<Located> {
    if (located !== null && located.expires > performance.now()) return located
    if (locating === null) {
      const started = performance.now()
      locating = locate(resolver, route.host, route.port, settings.peerPorts)
        .then((found) => {
          metrics.dns('delegation', (performance.now() - started) / 1000)
          located = { ...found, expires: performance.now() + found.ttlMs }
          for (const endpoint of found.endpoints) known.know(endpoint)
          retireLeavers(found.endpoints)
          return found
        })
        .catch((cause: unknown) => {
          if (located === null || !(cause instanceof Unresolved) || cause.gone) throw cause
          // DNS is in trouble, not the peer: what it said last is used, and it is asked again in a moment
          log.warn({ peer: route.host, err: cause }, 'DNS does not answer; its last answer is used')
          metrics.dnsStale('delegation')
          located = { ...located, expires: performance.now() + STALE_MS }
          return located
        })
        .finally(() => {
          locating = null
        })
    }
    return await locating
  }

  /** Sessions to addresses that DNS no longer names take no new streams. */
  function retireLeavers(endpoints: readonly Endpoint[]): void {
    const named = new Set(endpoints.map(keyOf))
    for (const [key, set] of sessions)
      if (!named.has(key)) for (const session of set) session.retire()
    for (const key of failures.keys()) if (!named.has(key)) failures.delete(key)
  }

  /** Best first: not failing, lowest SRV priority, fewest streams; ties take turns. */
  function rank(endpoints: readonly Endpoint[]): readonly Endpoint[] {
    if (endpoints.length === 1) return endpoints
    turn = (turn + 1) % endpoints.length
    const now = performance.now()
    return [...endpoints.slice(turn), ...endpoints.slice(0, turn)]
      .map((endpoint) => ({
        endpoint,
        ejected: (failures.get(keyOf(endpoint))?.until ?? 0) > now ? 1 : 0,
        load: loadOf(keyOf(endpoint)),
      }))
      .sort(
        (a, b) =>
          a.ejected - b.ejected || a.endpoint.priority - b.endpoint.priority || a.load - b.load,
      )
      .map(({ endpoint }) => endpoint)
  }

  /** The replica that holds it, also when DNS no longer names it; the others when it cannot be reached. */
  function holderFirst(endpoints: readonly Endpoint[], mark: string | null): readonly Endpoint[] {
    const holder = mark === null ? null : known.byMark(mark)
    if (holder === null) return endpoints
    return [holder, ...endpoints.filter((one) => keyOf(one) !== keyOf(holder))]
  }

  function loadOf(key: string): number {
    let load = 0
    for (const session of sessions.get(key) ?? []) load += session.active
    return load
  }

  function dialOnce(endpoint: Endpoint): Promise<void> {
    const key = keyOf(endpoint)
    const running = dialling.get(key)
    if (running !== undefined) return running
    if ((sessions.get(key)?.size ?? 0) >= MAX_SESSIONS_PER_ENDPOINT)
      return Promise.reject(tooMany('the peer takes no more streams'))
    const started = dials.run(() => openSession(endpoint, key)).finally(() => dialling.delete(key))
    dialling.set(key, started)
    return started
  }

  async function openSession(endpoint: Endpoint, key: string): Promise<void> {
    const started = performance.now()
    const snapshot = identity.current()
    try {
      const dialled = await dial({
        endpoint,
        host: route.host,
        peer: route.peer,
        snapshot,
        spiffe,
        timeoutMs: settings.dialTimeoutMs,
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
      failures.delete(key)
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
      // a certificate that changed while dialling: this session serves the calls that wait, and no more
      if (identity.current().generation !== snapshot.generation) setImmediate(session.retire)
    } catch (cause) {
      const count = (failures.get(key)?.count ?? 0) + 1
      const pause = Math.min(EJECT_MAX_MS, EJECT_MS * 2 ** (count - 1))
      failures.set(key, { count, until: performance.now() + pause })
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
    idle: () => sessions.size === 0 && dialling.size === 0 && locating === null,
  }
}

/** The address of the session that failed comes last. */
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
