/**
 * Proves that a peer which trusts the roots accepts a certificate: by a real handshake of the identity with itself, in memory.
 * Node has no call for verifying a chain, and `verify` of X509Certificate knows nothing of name constraints,
 * path lengths and purposes. Both sides present the certificate, so that it is proven as a server's and as a client's.
 */
import { MeshError } from '@clawmesh/proto'
import { handshakeInMemory } from '../tls/handshake-in-memory.ts'
import type { ContextOptions } from '../tls/tls-options.ts'
import { verifyFailure } from '../tls/verify-errors.ts'

/** @throws MeshError MESH_IDENTITY_UNTRUSTED and others of verify-errors.ts; MESH_IDENTITY_INVALID when TLS takes nothing of it */
export async function proveChain(options: ContextOptions): Promise<void> {
  // whether a side was good is looked at below, where there is a place to say why
  const server = { ...options, requestCert: true, rejectUnauthorized: false }
  const client = { ...options, rejectUnauthorized: false, checkServerIdentity: () => undefined }
  try {
    await handshakeInMemory(server, client, (ends) => {
      for (const { authorized, authorizationError } of [ends.server, ends.client])
        if (!authorized) throw verifyFailure(authorizationError)
    })
  } catch (cause) {
    if (cause instanceof MeshError) throw cause
    throw new MeshError('MESH_IDENTITY_INVALID', 'TLS does not accept the certificate and key', {
      cause,
    })
  }
}
