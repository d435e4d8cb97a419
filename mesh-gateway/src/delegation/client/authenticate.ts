/**
 * Authenticates the client of a connection by its certificate. The certificate is read once, after the handshake, and
 * judged again for each stream, since certificates expire and bundles change while connections live.
 */
import type { TLSSocket } from 'node:tls'
import {
  type IdentitySnapshot,
  judgePeer,
  type PeerCertificate,
  readPeer,
} from '@clawmesh/agent-sdk/mesh'
import { MeshError, type SpiffeTemplate } from '@clawmesh/proto'
import type { ClientAddress } from '../../net/client-address.ts'
import type { RevocationJudge } from '../../revocation/judge.ts'
import { callerRefusal } from '../live/fault-in-words.ts'
import { createRouteCache, type RouteCache } from '../route-cache.ts'
import type { Meter } from './meter.ts'

export type Client = (
  | { readonly peer: PeerCertificate; readonly refusal: null }
  | { readonly peer: null; readonly refusal: MeshError }
) & {
  readonly routes: RouteCache
  readonly address: ClientAddress
  /** The port that the client has connected to, which may be a proxy's, with its colon. */
  readonly ownPort: string
  /** Counts the bytes of its calls. */
  readonly meter: Meter
}

export function authenticateClient(
  socket: TLSSocket,
  address: ClientAddress,
  snapshot: IdentitySnapshot,
  spiffe: SpiffeTemplate,
  revocations: RevocationJudge,
): Client {
  const ownPort = `:${address.proxyPort ?? socket.localPort}`
  const shared = { routes: createRouteCache(), address, ownPort, meter: { bytes: 0 } }
  try {
    const peer = readPeer(socket, { spiffe, roots: snapshot.roots })
    const revoked = revocations.certificate(peer)
    if (revoked !== null) throw callerRefusal(revoked)
    return { peer, refusal: null, ...shared }
  } catch (cause) {
    const refusal =
      cause instanceof MeshError
        ? cause
        : new MeshError('MESH_IDENTITY_UNTRUSTED', undefined, { cause })
    return { peer: null, refusal, ...shared }
  }
}

/** @throws MeshError MESH_IDENTITY_*, MESH_REVOCATION_STALE */
export function judgeClient(
  client: Client,
  snapshot: IdentitySnapshot,
  nowMs: number,
  revocations: RevocationJudge,
): PeerCertificate {
  if (client.peer === null) throw client.refusal
  const code = judgePeer(client.peer, snapshot, nowMs)
  if (code !== null) throw new MeshError(code)
  const revoked = revocations.certificate(client.peer)
  if (revoked !== null) throw callerRefusal(revoked)
  return client.peer
}
