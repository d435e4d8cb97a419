/** The delegation port of an attacked gateway: connections of acme/attacker, and a callee that counts what arrives. */
import { once } from 'node:events'
import { type ClientHttp2Session, connect, createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import tls from 'node:tls'
import {
  checkIsGateway,
  clientTlsOptions,
  type IdentitySnapshot,
  loadIdentity,
  serverTlsOptions,
} from '@clawmesh/agent-sdk/mesh'
import { createSpiffeTemplate } from '@clawmesh/proto'
import type { Mesh } from '../../test/support/mesh.ts'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })

export async function attackerOf(mesh: Mesh): Promise<IdentitySnapshot> {
  return await loadIdentity(await mesh.identity('acme', 'attacker'), { spiffe })
}

/** A TLS connection on which nothing was sent. */
export async function dial(mesh: Mesh, attacker: IdentitySnapshot): Promise<tls.TLSSocket> {
  const [host = '', port] = mesh.gateway.delegation.split(':')
  const socket = tls.connect({
    ...clientTlsOptions(attacker, spiffe, checkIsGateway),
    host,
    port: Number(port),
  })
  socket.on('error', () => {})
  const closed = once(socket, 'close').then(() => {
    throw new Error('the connection was closed in the handshake')
  })
  closed.catch(() => {})
  await Promise.race([once(socket, 'secureConnect'), closed])
  return socket
}

export async function openSession(
  mesh: Mesh,
  attacker: IdentitySnapshot,
): Promise<ClientHttp2Session> {
  const socket = await dial(mesh, attacker)
  const session = connect('https://gateway.mesh.internal', { createConnection: () => socket })
  session.on('error', () => {})
  await once(session, 'remoteSettings')
  return session
}

export interface CountingPeer {
  readonly name: string
  /** Calls that arrived. */
  arrived(): number
  close(): Promise<void>
}

/** Agent acme/peer, which says OK to each call. */
export async function startCountingPeer(mesh: Mesh): Promise<CountingPeer> {
  const own = await loadIdentity(await mesh.identity('acme', 'peer'), { spiffe })
  const server = createSecureServer(serverTlsOptions(own))
  const sessions = new Set<{ destroy(): void }>()
  let arrived = 0
  server.on('session', (session) => {
    sessions.add(session)
    session.on('error', () => {})
    session.once('close', () => sessions.delete(session))
  })
  server.on('stream', (stream) => {
    arrived += 1
    stream.on('error', () => {})
    stream.resume()
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc' },
      { waitForTrailers: true },
    )
    stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  mesh.announce('acme', 'peer', port)
  return {
    name: mesh.nameOf('acme', 'peer'),
    arrived: () => arrived,
    async close() {
      const closed = once(server, 'close')
      server.close()
      for (const session of sessions) session.destroy()
      await closed
    },
  }
}
