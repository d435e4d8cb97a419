/**
 * Our own gate after the handshake: who is at the other end of a TLS socket.
 * Fails closed: whatever is unknown, unverified or resumed is refused, with the reason.
 */
import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { MeshError } from '@clawmesh/proto'
import {
  type PeerCertificate,
  type ReadCertificateOptions,
  readCertificate,
} from './peer-certificate.ts'
import { verifyFailure } from './verify-errors.ts'

/** Longer chains are cut off, and then lead to no root. */
const MAX_WALK = 12

/**
 * The certificate of the peer, verified. Call it once per connection, after `secureConnection` or `secureConnect`,
 * and `judgePeer` with its result for every stream.
 * @throws MeshError MESH_IDENTITY_NO_CERTIFICATE, UNTRUSTED, EXPIRED, NOT_YET_VALID, AMBIGUOUS or MALFORMED
 */
export function readPeer(socket: TLSSocket, options: ReadCertificateOptions): PeerCertificate {
  const leaf = socket.getPeerX509Certificate()
  if (leaf === undefined) throw new MeshError('MESH_IDENTITY_NO_CERTIFICATE')
  if (socket.authorized !== true) throw verifyFailure(socket.authorizationError)
  // a resumed session has skipped the validation of the certificate
  if (socket.isSessionReused())
    throw new MeshError('MESH_IDENTITY_UNTRUSTED', 'the connection resumes an earlier session')
  return readCertificate(chainOf(leaf), options)
}

/** The certificate and its issuers, as the handshake brought them. */
export function chainOf(leaf: X509Certificate): X509Certificate[] {
  const chain: X509Certificate[] = []
  let next: X509Certificate | undefined = leaf
  while (next !== undefined && chain.length < MAX_WALK) {
    chain.push(next)
    const issuer: X509Certificate | undefined = next.issuerCertificate
    next =
      issuer === undefined || issuer.fingerprint256 === next.fingerprint256 ? undefined : issuer
  }
  return chain
}
