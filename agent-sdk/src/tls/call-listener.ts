/**
 * Listens with mTLS for a grpc-js server, and knows the certificate behind every call.
 * The TLS server is our own, since that of grpc-js keeps its sockets to itself: it shows a leaf, but neither the root it
 * leads to nor why a certificate is not good. What has passed the handshake is injected into the grpc-js server.
 */

import { createServer, type TLSSocket } from 'node:tls'
import { type ErrorCode, MeshError, type SpiffeTemplate } from '@clawmesh/proto'
import { type Server, ServerCredentials } from '@grpc/grpc-js'
import { checkOptions, optionNames } from '../check-options.ts'
import { type Log, silentLog } from '../log.ts'
import { fingerprintOf } from './fingerprint.ts'
import { followIdentity } from './follow-identity.ts'
import { createGonePeerWatch } from './gone-peers.ts'
import type { IdentitySnapshot, IdentityStore } from './identity-snapshot.ts'
import { KEEP_ALIVE_MS } from './keep-alive.ts'
import { judgePeer, type PeerCertificate } from './peer-certificate.ts'
import { readPeer } from './read-peer.ts'
import { surviveLostStreams } from './streams-already-gone.ts'
import { serverTlsOptions } from './tls-options.ts'
import { widenConnections, widenWindows } from './windows.ts'

type ConnectionInjector = ReturnType<Server['createConnectionInjector']>

export interface CallListenerOptions {
  /** Has its services; is not bound to a port itself. */
  readonly server: Server
  readonly store: IdentityStore
  readonly spiffe: SpiffeTemplate
  /** Default `127.0.0.1`. */
  readonly host?: string
  /** Default 0: a free one. */
  readonly port?: number
  /** How long a connection without a good certificate may stay to be told why, in milliseconds. Default 10 000. */
  readonly refusedMs?: number
  /** Default: says nothing. */
  readonly log?: Log
  /** Milliseconds since the epoch. Default: now. */
  readonly now?: () => number
}

/** What a server call of grpc-js shows of its connection. */
export interface CallConnection {
  getPeer(): string
  getAuthContext(): { readonly sslPeerCertificate?: { readonly raw: Uint8Array } | undefined }
}

export interface CallListener {
  /** Where it really listens. */
  readonly address: { readonly host: string; readonly port: number }
  /**
   * Who makes a call, judged at this moment.
   * @throws MeshError MESH_IDENTITY_NO_CERTIFICATE, UNTRUSTED, EXPIRED, NOT_YET_VALID, AMBIGUOUS or MALFORMED
   */
  peerOf(call: CallConnection): PeerCertificate
  /** Accepts no new connections, sends GOAWAY to clients, lets running calls end, and closes after `graceMs` milliseconds at the latest. */
  drain(graceMs: number): Promise<void>
  /** Ends everything at once. */
  close(): Promise<void>
}

const NAMES = optionNames<CallListenerOptions>({
  server: true,
  store: true,
  spiffe: true,
  host: true,
  port: true,
  refusedMs: true,
  log: true,
  now: true,
})

/** @throws the error of `listen`, e.g. EADDRINUSE; TypeError for an option that there is not */
export async function listenForCalls(options: CallListenerOptions): Promise<CallListener> {
  checkOptions(options, NAMES, 'listenForCalls')
  const { server, store, host = '127.0.0.1', port = 0, log = silentLog } = options
  surviveLostStreams(server)
  widenWindows(server)
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  widenConnections(server)
  const connections = new CallConnections(injector, options)

  const listener = createServer({
    ...serverTlsOptions(store.current()),
    ...{ keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS },
  })
  followIdentity(listener, store)
  listener.on('secureConnection', (socket) => connections.accept(socket))
  listener.on('tlsClientError', (error, socket) => {
    log.debug({ err: error, remote: socket.remoteAddress }, 'a handshake failed')
  })
  const unsubscribe = store.onChange((snapshot) => connections.judgeAll(snapshot))

  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject)
    listener.listen(port, host, resolve)
  }).catch((error: unknown) => {
    unsubscribe()
    injector.destroy()
    throw error
  })
  const bound = listener.address()
  if (bound === null || typeof bound === 'string') throw new TypeError('host: must be an address')
  const closed = new Promise<void>((resolve) => listener.once('close', resolve))

  function stop(): void {
    unsubscribe()
    listener.close()
  }
  return Object.freeze({
    address: Object.freeze({ host: bound.address, port: bound.port }),
    peerOf: (call: CallConnection) => connections.peerOf(call),
    async drain(graceMs: number) {
      stop()
      injector.drain(graceMs)
      const timer = setTimeout(() => connections.destroyAll(), graceMs)
      await closed
      clearTimeout(timer)
      injector.destroy()
    },
    async close() {
      stop()
      connections.destroyAll()
      await closed
      injector.destroy()
    },
  })
}

/** The connections that are open, and the certificate behind each. */
class CallConnections {
  readonly #injector: ConnectionInjector
  readonly #store: IdentityStore
  readonly #spiffe: SpiffeTemplate
  readonly #refusedMs: number
  readonly #log: Log
  readonly #now: () => number
  readonly #gonePeers = createGonePeerWatch()
  readonly #open = new Map<TLSSocket, PeerCertificate | MeshError>()
  readonly #peers = new Map<string, PeerCertificate>()
  readonly #refusals = new Map<string, MeshError>()

  constructor(
    injector: ConnectionInjector,
    { store, spiffe, refusedMs = 10_000, log = silentLog, now = Date.now }: CallListenerOptions,
  ) {
    this.#injector = injector
    this.#store = store
    this.#spiffe = spiffe
    this.#refusedMs = refusedMs
    this.#log = log
    this.#now = now
  }

  accept(socket: TLSSocket): void {
    socket.on('error', (error) => this.#log.debug({ err: error }, 'a connection broke'))
    if (socket.alpnProtocol !== 'h2') {
      socket.destroy()
      return
    }
    const remote = `${socket.remoteAddress}:${socket.remotePort}`
    const found = this.#read(socket)
    this.#open.set(socket, found)
    if (found instanceof MeshError) {
      this.#log.warn({ code: found.code, remote }, `a connection is refused: ${found.message}`)
      this.#refusals.set(remote, found)
      const timer = setTimeout(() => socket.destroy(), this.#refusedMs).unref()
      socket.once('close', () => clearTimeout(timer))
    } else {
      this.#peers.set(found.fingerprint, found)
    }
    socket.once('close', () => this.#forget(socket, remote))
    this.#gonePeers.watch(socket)
    this.#injector.injectConnection(socket)
  }

  peerOf(call: CallConnection): PeerCertificate {
    const leaf = call.getAuthContext().sslPeerCertificate
    const peer = leaf === undefined ? undefined : this.#peers.get(fingerprintOf(leaf))
    if (peer === undefined)
      throw this.#refusals.get(call.getPeer()) ?? new MeshError('MESH_IDENTITY_NO_CERTIFICATE')
    const code = judgePeer(peer, this.#store.current(), this.#now())
    if (code !== null) throw new MeshError(code, lapsed(peer, code))
    return peer
  }

  /** A CA that is no longer trusted: its connections end now, with their calls. */
  judgeAll(snapshot: IdentitySnapshot): void {
    for (const [socket, peer] of this.#open) {
      if (peer instanceof MeshError) continue
      const code = judgePeer(peer, snapshot, this.#now())
      if (code === 'MESH_IDENTITY_UNTRUSTED') socket.destroy()
    }
  }

  destroyAll(): void {
    for (const socket of this.#open.keys()) socket.destroy()
  }

  #read(socket: TLSSocket): PeerCertificate | MeshError {
    try {
      const { roots } = this.#store.current()
      return readPeer(socket, { spiffe: this.#spiffe, roots, nowMs: this.#now() })
    } catch (error) {
      if (error instanceof MeshError) return error
      return new MeshError('MESH_IDENTITY_UNTRUSTED', undefined, { cause: error })
    }
  }

  #forget(socket: TLSSocket, remote: string): void {
    const gone = this.#open.get(socket)
    this.#open.delete(socket)
    this.#refusals.delete(remote)
    if (gone === undefined || gone instanceof MeshError) return
    const { fingerprint } = gone
    // the same certificate may be behind several connections
    for (const left of this.#open.values())
      if (!(left instanceof MeshError) && left.fingerprint === fingerprint) return
    this.#peers.delete(fingerprint)
  }
}

/** Names the owner of the certificate: through a gateway the error reaches a caller with a good certificate of its own. */
function lapsed({ identity, notAfter }: PeerCertificate, code: ErrorCode): string | undefined {
  if (code !== 'MESH_IDENTITY_EXPIRED') return undefined
  return `the certificate of ${identity.id} expired at ${notAfter.toISOString()}`
}
