/**
 * Proves that a certificate is accepted by those who trust the roots: by a real handshake, with itself, in memory.
 * Node has no call for verifying a chain, and `verify` of X509Certificate knows nothing of name constraints,
 * path lengths and purposes. Both sides present the certificate, so that it is proven as a server's and as a client's.
 */

import { duplexPair } from 'node:stream'
import { connect, createServer, type Server, type TLSSocket } from 'node:tls'
import { MeshError } from '@clawmesh/proto'
import type { ContextOptions } from '../tls/tls-options.ts'
import { verifyFailure } from '../tls/verify-errors.ts'

const TIMEOUT_MS = 5_000

/** @throws MeshError MESH_IDENTITY_UNTRUSTED and others of verify-errors.ts; MESH_IDENTITY_INVALID when TLS takes nothing of it */
export async function proveChain(options: ContextOptions): Promise<void> {
  const [near, far] = duplexPair()
  const open: { destroy(): unknown }[] = [near, far]
  try {
    // never listens; only a server's sockets say whether the client's certificate was good
    const server = createServer({ ...options, requestCert: true, rejectUnauthorized: false })
    const accepted = acceptOne(server)
    const client = connect({
      ...options,
      socket: near,
      servername: '',
      // looked at below, where there is a place to say why
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    })
    open.unshift(client)
    const connected = finish(client)
    server.emit('connection', far)
    const sockets = await inTime(Promise.all([accepted, connected]))
    open.unshift(...sockets)
    for (const { authorized, authorizationError } of sockets)
      if (!authorized) throw verifyFailure(authorizationError)
  } catch (cause) {
    if (cause instanceof MeshError) throw cause
    throw new MeshError('MESH_IDENTITY_INVALID', 'TLS does not accept the certificate and key', {
      cause,
    })
  } finally {
    for (const socket of open) socket.destroy()
  }
}

function acceptOne(server: Server): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    server.once('secureConnection', resolve)
    server.once('tlsClientError', reject)
  })
}

function finish(client: TLSSocket): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    client.once('secureConnect', () => resolve(client))
    // stays: an error after the handshake has an owner too
    client.on('error', reject)
    client.once('close', () => reject(new Error('the handshake ended early')))
  })
}

async function inTime<T>(work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error('the handshake took too long')), TIMEOUT_MS)
  try {
    return await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
  }
}
