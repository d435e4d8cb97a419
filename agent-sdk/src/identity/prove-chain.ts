/**
 * Proves that a certificate is accepted by those who trust the roots: by a real handshake, with itself, in memory.
 * Node has no call for verifying a chain, and `verify` of X509Certificate knows nothing of name constraints,
 * path lengths and purposes. Both sides present the certificate, so that it is proven as a server's and as a client's.
 */

import { duplexPair } from 'node:stream'
import { connect, createSecureContext, TLSSocket } from 'node:tls'
import { MeshError } from '@clawmesh/proto'
import type { ContextOptions } from '../tls/tls-options.ts'
import { verifyFailure } from '../tls/verify-errors.ts'

const TIMEOUT_MS = 5_000

/** @throws MeshError MESH_IDENTITY_UNTRUSTED and others of verify-errors.ts; MESH_IDENTITY_INVALID when TLS takes nothing of it */
export async function proveChain(options: ContextOptions): Promise<void> {
  const [near, far] = duplexPair()
  const closers: (() => void)[] = [() => near.destroy(), () => far.destroy()]
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  try {
    const secureContext = createSecureContext(options)
    const server = new TLSSocket(far, {
      isServer: true,
      secureContext,
      requestCert: true,
      rejectUnauthorized: false,
    })
    const client = connect({
      socket: near,
      secureContext,
      servername: '',
      // looked at below, where there is a place to say why
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    })
    closers.unshift(
      () => client.destroy(),
      () => server.destroy(),
    )
    await Promise.all([
      handshake(server, 'secure', signal),
      handshake(client, 'secureConnect', signal),
    ])
    for (const socket of [client, server])
      if (!socket.authorized) throw verifyFailure(socket.authorizationError)
  } catch (cause) {
    if (cause instanceof MeshError) throw cause
    throw new MeshError('MESH_IDENTITY_INVALID', 'TLS does not accept the certificate and key', {
      cause,
    })
  } finally {
    for (const close of closers) close()
  }
}

function handshake(socket: TLSSocket, event: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once(event, () => resolve())
    // stays: an error after the handshake has an owner too
    socket.on('error', reject)
    socket.once('close', () => reject(new Error('the handshake ended early')))
    signal.addEventListener('abort', () => reject(new Error('the handshake took too long')))
  })
}
