/** Opens a session to one address of a peer: dials, judges the peer's certificate, and wraps the connection. */
import type { IdentitySnapshot } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import type { Attempt } from '../../net/happy-eyeballs.ts'
import { calleeRefusal } from '../live/fault-in-words.ts'
import type { PeerRoute } from '../route.ts'
import { type Dialled, dial } from './dial.ts'
import type { HeldSessions } from './held-sessions.ts'
import { type Endpoint, keyOf } from './locate.ts'
import { refuseOwnEndpoint } from './own-endpoint.ts'
import { type UpstreamSession, wrapSession } from './session.ts'
import type { UpstreamSettings } from './upstreams-options.ts'

/** When a peer without room may be asked again, in milliseconds. */
const FULL_FOR_MS = 1_000

/**
 * @param sessions gets the new session
 * @throws MeshError MESH_PEER_*, MESH_LIMIT_CONCURRENCY, MESH_REVOCATION_STALE
 */
export async function openSession(
  endpoint: Endpoint,
  attempt: Attempt,
  route: PeerRoute,
  settings: UpstreamSettings,
  sessions: Pick<HeldSessions, 'add' | 'remove'>,
): Promise<void> {
  const { identity, log } = settings
  const snapshot = identity.current()
  try {
    const dialled = await dialPeer(endpoint, attempt, route, snapshot, settings)
    const session = wrap(dialled, endpoint, settings, sessions)
    sessions.add(keyOf(endpoint), session)
    // the certificate has changed during the dial: this session serves the waiting calls only
    if (identity.current().generation !== snapshot.generation) setImmediate(() => session.retire())
  } catch (cause) {
    const fields = { peer: route.host, endpoint: keyOf(endpoint), err: cause }
    log.debug(fields, 'a peer could not be dialled')
    throw cause
  }
}

async function dialPeer(
  endpoint: Endpoint,
  attempt: Attempt,
  { host, peer }: PeerRoute,
  snapshot: IdentitySnapshot,
  settings: UpstreamSettings,
): Promise<Dialled> {
  const { metrics, spiffe, revocations, dialTimeoutMs: timeoutMs } = settings
  const startedMs = performance.now()
  const configured = settings.staticPeers?.()?.[host] !== undefined
  refuseOwnEndpoint(endpoint, settings.ownAddresses?.() ?? [], { host, configured })
  const dialled = await dial({ endpoint, host, peer, snapshot, spiffe, timeoutMs, attempt })
  const { session, certificate } = dialled
  metrics.dial('delegation', (performance.now() - startedMs) / 1000)
  if (session.remoteSettings.maxConcurrentStreams === 0) {
    session.close()
    throw tooMany('the peer takes no streams at all')
  }
  const revoked = revocations?.certificate(certificate) ?? null
  if (revoked !== null) {
    session.destroy()
    throw calleeRefusal(certificate.identity.id, revoked)
  }
  return dialled
}

function wrap(
  { session: connection, certificate }: Dialled,
  endpoint: Endpoint,
  { revocations, marks, idleMs, pingMs, ageMs }: UpstreamSettings,
  sessions: Pick<HeldSessions, 'remove'>,
): UpstreamSession {
  const { ip, port } = endpoint
  const session = wrapSession(connection, {
    ...{ peerId: certificate.identity.id, certificate, marks, ip, port, idleMs, pingMs, ageMs },
    isGood: () => (revocations?.certificate(certificate) ?? null) === null,
    notAfterMs: certificate.notAfter.getTime(),
    onClose: () => sessions.remove(keyOf(endpoint), session),
  })
  return session
}

export function tooMany(message: string): MeshError {
  return new MeshError('MESH_LIMIT_CONCURRENCY', message, { retryAfterMs: FULL_FOR_MS })
}
