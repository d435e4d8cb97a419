/**
 * Dials one address of a peer: TCP, TLS with the peer's certificate verified against the mesh CA and the requested
 * name, HTTP/2 with its settings known. The session can carry streams at once.
 */
import { type ClientHttp2Session, connect } from 'node:http2'
import tls from 'node:tls'
import {
  checkAgent,
  clientTlsOptions,
  createGonePeerWatch,
  handshakeFailure,
  type IdentitySnapshot,
  type PeerCertificate,
} from '@clawmesh/agent-sdk/mesh'
import { MeshError, type Peer, type SpiffeTemplate } from '@clawmesh/proto'
import { saysNoDescriptors } from '../../net/descriptors.ts'
import type { Attempt } from '../../net/happy-eyeballs.ts'
import { TCP_KEEP_ALIVE } from '../../net/keep-alive.ts'
import { leanStreamTables } from '../../process/node-internals/lean-stream-tables.ts'
import { MAX_METADATA_BYTES } from '../carry/peer-response.ts'
import { CONNECTION_WINDOW_BYTES, WINDOW_BYTES } from '../carry/windows.ts'
import type { Endpoint } from './locate.ts'

export interface DialOptions {
  readonly endpoint: Endpoint
  /** The requested name. */
  readonly host: string
  /** The required identity of the peer. */
  readonly peer: Peer
  readonly snapshot: IdentitySnapshot
  readonly spiffe: SpiffeTemplate
  /** For TCP, TLS and HTTP/2 together, in milliseconds. */
  readonly timeoutMs: number
  /** Told when TCP is connected; ends the dial when it is aborted. */
  readonly attempt?: Attempt
}

export interface Dialled {
  readonly session: ClientHttp2Session
  readonly certificate: PeerCertificate
}

/** Node's limits, wider than ours: over them Node resets the stream as if the peer had, so our code checks first. */
const MAX_HEADER_PAIRS = 4_000
const HEADER_SLACK = 4
/** Streams have bounds of their own; Node's default of 10 would refuse headers in the middle of a stream. */
const SESSION_MEMORY_MB = 64

/**
 * @throws MeshError MESH_PEER_UNREACHABLE, MESH_PEER_UNTRUSTED, MESH_PEER_MISMATCH, MESH_PEER_PROTOCOL,
 *   MESH_GATEWAY_NO_DESCRIPTORS
 */
export function dial(options: DialOptions): Promise<Dialled> {
  const { endpoint, host, snapshot, spiffe, peer, timeoutMs, attempt } = options
  // without the address: the message reaches callers, which must not learn the gateway's network
  const where = host

  return new Promise((resolve, reject) => {
    let certificate: PeerCertificate | null = null
    const socket = tls.connect({
      ...clientTlsOptions(snapshot, spiffe, checkAgent(peer, host), {
        servername: host,
        onPeer: (verified) => {
          certificate = verified
        },
      }),
      host: endpoint.ip,
      port: endpoint.port,
    })
    const timer = setTimeout(() => fail(unreachable(`${where} did not answer in time`)), timeoutMs)
    const lost = () => fail(unreachable(`${where} closed the connection`))
    const givenUp = () => fail(unreachable(`${where} was not waited for`))
    attempt?.signal.addEventListener('abort', givenUp)

    function settled(): void {
      clearTimeout(timer)
      attempt?.signal.removeEventListener('abort', givenUp)
    }

    function fail(cause: unknown): void {
      settled()
      socket.destroy()
      reject(dialError(where, cause))
    }

    socket.once('error', fail)
    socket.once('close', lost)
    socket.once('connect', () => attempt?.progressed())
    socket.setKeepAlive(TCP_KEEP_ALIVE.keepAlive, TCP_KEEP_ALIVE.keepAliveInitialDelay)
    socket.once('secureConnect', () => {
      attempt?.progressed()
      socket.setNoDelay(true)
      if (socket.alpnProtocol !== 'h2')
        return fail(new MeshError('MESH_PEER_PROTOCOL', `${where} does not speak HTTP/2`))
      const session = connect(`https://${host}`, {
        createConnection: () => socket,
        maxSessionMemory: SESSION_MEMORY_MB,
        maxHeaderListPairs: MAX_HEADER_PAIRS,
        // a peer's values are delivered and trimmed, not dropped in silence
        strictFieldWhitespaceValidation: false,
        settings: {
          enablePush: false,
          initialWindowSize: WINDOW_BYTES,
          maxHeaderListSize: MAX_METADATA_BYTES * HEADER_SLACK,
        },
      })
      leanStreamTables(session)
      // each stream reports the error; an `error` event without a listener would end the process
      session.on('error', fail)
      session.once('remoteSettings', () => {
        settled()
        socket.off('close', lost)
        if (certificate === null) return fail(new MeshError('MESH_PEER_UNTRUSTED'))
        createGonePeerWatch().watch(socket)
        session.setLocalWindowSize(CONNECTION_WINDOW_BYTES)
        resolve({ session, certificate })
      })
    })
  })
}

function unreachable(message: string, cause?: unknown): MeshError {
  return new MeshError('MESH_PEER_UNREACHABLE', message, { cause })
}

const NETWORK = /^E(?:CONN|HOST|NET|PIPE|TIMEDOUT|ADDR|INVAL|ACCES|PERM)/

function dialError(where: string, cause: unknown): MeshError {
  if (cause instanceof MeshError && cause.code.startsWith('MESH_PEER_')) return cause
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  if (saysNoDescriptors(cause))
    return new MeshError('MESH_GATEWAY_NO_DESCRIPTORS', `${where} was not dialled`, { cause })
  if (NETWORK.test(code)) return unreachable(`${where} cannot be reached (${code})`, cause)
  if (code.startsWith('ERR_HTTP2_'))
    return new MeshError('MESH_PEER_PROTOCOL', `${where} does not speak HTTP/2`, { cause })
  const failure = handshakeFailure(cause)
  const why = failure === null ? 'the TLS handshake failed' : failure.message
  return new MeshError('MESH_PEER_UNTRUSTED', `${where}: ${why}`, { cause })
}
