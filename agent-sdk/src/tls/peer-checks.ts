/**
 * Who the other side has to be. A check is a function of the certificate alone, never of an address;
 * it returns nothing or throws the MeshError that says why not.
 */
import { MeshError, type Peer } from '@clawmesh/proto'
import type { PeerCertificate } from './peer-certificate.ts'

export type PeerCheck = (peer: PeerCertificate) => void

/** A client's view: the server has to be a gateway. @throws MeshError MESH_GATEWAY_UNTRUSTED */
export function checkIsGateway(peer: PeerCertificate): void {
  if (peer.identity.kind === 'gateway') return
  throw new MeshError('MESH_GATEWAY_UNTRUSTED', `the server is ${peer.identity.id}, not a gateway`)
}

/** A server's view: only a gateway may connect. @throws MeshError MESH_IDENTITY_NOT_GATEWAY */
export function checkFromGateway(peer: PeerCertificate): void {
  if (peer.identity.kind === 'gateway') return
  throw new MeshError(
    'MESH_IDENTITY_NOT_GATEWAY',
    `the caller is ${peer.identity.id}, not a gateway`,
  )
}

/** The check of a gateway: only agents may call. Returns the agent. @throws MeshError MESH_IDENTITY_NOT_AGENT */
export function checkIsAgent(peer: PeerCertificate): Peer {
  const { identity } = peer
  if (identity.kind === 'agent') return { tenant: identity.tenant, agent: identity.agent }
  throw new MeshError('MESH_IDENTITY_NOT_AGENT', `the caller is ${identity.id}, not an agent`)
}

/**
 * A check that the certificate is that of one agent: its SPIFFE ID, and the name it was asked for by among its DNS SANs
 * (wildcards do not count). The check throws MESH_PEER_MISMATCH.
 * @param name the peer name, e.g. `researcher.acme.mesh.internal`
 */
export function checkAgent(expected: Peer, name: string): PeerCheck {
  return (peer) => {
    const { identity } = peer
    const same =
      identity.kind === 'agent' &&
      identity.tenant === expected.tenant &&
      identity.agent === expected.agent
    if (!same)
      throw new MeshError('MESH_PEER_MISMATCH', `asked for ${name}, the peer is ${identity.id}`)
    if (!peer.dnsNames.includes(name))
      throw new MeshError('MESH_PEER_MISMATCH', `the certificate of ${identity.id} lacks ${name}`)
  }
}
