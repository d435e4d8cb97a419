/**
 * Who is at the other end of a connection. Read once, when the handshake is done; judged again for each
 * stream, since certificates expire and bundles change while connections live.
 */
import type { TLSSocket } from 'node:tls'
import {
  type IdentitySnapshot,
  judgePeer,
  type PeerCertificate,
  readPeer,
} from '@clawmesh/agent-sdk/mesh'
import { MeshError, type SpiffeTemplate } from '@clawmesh/proto'
import { type ClientAddress, clientAddressOf } from '../../net/client-address.ts'
import type { RevocationJudge } from '../../revocation/judge.ts'
import { callerRefusal } from '../live/fault-in-words.ts'
import { createFlows, type Flows } from '../route-cache.ts'
import type { Meter } from './meter.ts'

export type Inbound = (
  | { readonly peer: PeerCertificate; readonly refusal: null }
  | { readonly peer: null; readonly refusal: MeshError }
) & {
  readonly flows: Flows
  readonly client: ClientAddress
  /** The port that it has connected to, with its colon. */
  readonly ownPort: string
  /** What its calls carry. */
  readonly meter: Meter
}

export function readInbound(
  socket: TLSSocket,
  snapshot: IdentitySnapshot,
  spiffe: SpiffeTemplate,
  revocations: RevocationJudge,
): Inbound {
  const client = clientAddressOf(socket)
  const ownPort = `:${socket.localPort}`
  const shared = { flows: createFlows(), client, ownPort, meter: { bytes: 0 } }
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
export function judgeInbound(
  inbound: Inbound,
  snapshot: IdentitySnapshot,
  nowMs: number,
  revocations: RevocationJudge,
): PeerCertificate {
  if (inbound.peer === null) throw inbound.refusal
  const code = judgePeer(inbound.peer, snapshot, nowMs)
  if (code !== null) throw new MeshError(code)
  const revoked = revocations.certificate(inbound.peer)
  if (revoked !== null) throw callerRefusal(revoked)
  return inbound.peer
}
