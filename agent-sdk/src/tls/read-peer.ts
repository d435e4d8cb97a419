/**
 * Judges the certificate of a TLS peer after the handshake, and returns its identity.
 * Fails closed: whatever is unknown, unverified or resumed is refused, with the reason.
 */
import type { TLSSocket } from 'node:tls'
import { MeshError } from '@clawmesh/proto'
import {
  type PeerCertificate,
  type ReadCertificateOptions,
  readCertificate,
} from './peer-certificate.ts'
import { peerChain } from './peer-chain.ts'
import { describeCertificate } from './shown-certificate.ts'
import { verifyFailure } from './verify-errors.ts'

/**
 * The certificate of the peer, verified. Call it once per connection, after `secureConnection` or `secureConnect`,
 * and `judgePeer` with its result for every stream. The server must be one that `followIdentity` looks after: without it
 * Node drops the intermediates that the client sent, and a client that needs them is not trusted.
 * @throws MeshError MESH_IDENTITY_NO_CERTIFICATE, UNTRUSTED, EXPIRED, NOT_YET_VALID, AMBIGUOUS or MALFORMED
 */
export function readPeer(socket: TLSSocket, options: ReadCertificateOptions): PeerCertificate {
  const chain = peerChain(socket)
  const [leaf] = chain
  if (leaf === undefined) throw new MeshError('MESH_IDENTITY_NO_CERTIFICATE')
  if (socket.authorized !== true)
    throw verifyFailure(socket.authorizationError, describeCertificate(leaf, options.spiffe))
  // a resumed session has skipped the validation of the certificate
  if (socket.isSessionReused())
    throw new MeshError('MESH_IDENTITY_UNTRUSTED', 'the connection resumes an earlier session')
  return readCertificate(chain, options)
}
