/**
 * Accepts client connections: HTTP/2 over TLS 1.3 with client certificates, and HTTP/1.1 for the MCP endpoint. A
 * connection without a valid certificate gets the reason in its answers, then is closed.
 */
import {
  constants,
  createSecureServer,
  type Http2SecureServer,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { TLSSocket } from 'node:tls'
import {
  createGonePeerWatch,
  followIdentity,
  type IdentityStore,
  type Log,
  serverTlsOptions,
} from '@clawmesh/agent-sdk/mesh'
import type { SpiffeTemplate } from '@clawmesh/proto'
import type { GuardLimits } from '../../config/guard-limits.ts'
import { TCP_KEEP_ALIVE } from '../../net/keep-alive.ts'
import { leanStreamTables } from '../../process/node-internals/lean-stream-tables.ts'
import type { RevocationJudge } from '../../revocation/judge.ts'
import { MAX_METADATA_BYTES } from '../carry/peer-response.ts'
import { CONNECTION_WINDOW_BYTES, WINDOW_BYTES } from '../carry/windows.ts'
import { trimmedFields } from '../field-values.ts'
import { isMcpPath, type McpEndpoint } from '../mcp/endpoint.ts'
import { createHttp1 } from '../mcp/http1.ts'
import { serveHttp2 } from '../mcp/http2.ts'
import { chooseProtocol } from '../other-protocols/answer-http1.ts'
import type { CallHandler } from '../serve-call.ts'
import { authenticateClient, type Client } from './authenticate.ts'
import { gracefulGoaway } from './graceful-goaway.ts'
import type { Guard } from './guard.ts'
import type { SessionGuard } from './session-guard.ts'

export interface ClientListener {
  /** Listens, and is closed. */
  readonly server: Http2SecureServer
  /** GOAWAY on all connections, and the like over HTTP/1.1: no new calls; open ones run to their end. */
  goAway(): void
  /** Closes each connection when its last frames have left. */
  closeSessions(): void
  /** Stops following the certificate. */
  release(): void
}

export interface ClientListenerOptions {
  readonly identity: IdentityStore
  readonly spiffe: SpiffeTemplate
  readonly revocations: RevocationJudge
  readonly limits: GuardLimits
  readonly guard: Guard
  readonly calls: CallHandler
  /** Null when it is not served. */
  readonly mcp: McpEndpoint | null
  readonly log: Log
}

const TOO_OLD = 'the connection is as old as it may be'
/** How long a refused connection may read its answers, in milliseconds. */
const REFUSED_LINGER_MS = 2_000
/**
 * Node's limit for one connection, enough for a thousand streams, which have bounds of their own. Node's default of 10
 * refuses headers in the middle of a stream.
 */
const SESSION_MEMORY_MB = 64
/**
 * Node's own limit on headers is this much wider than ours, so that our code refuses large ones, with the reason and an
 * audit record.
 */
const HEADER_SLACK = 4

export function createClientListener(options: ClientListenerOptions): ClientListener {
  const { identity, spiffe, revocations, limits, guard, calls, mcp, log } = options
  const guarded = new WeakMap<Http2Session, { client: Client; watch: SessionGuard }>()
  const sessions = new Set<ServerHttp2Session>()
  const server = createServer(identity, limits)
  const release = followIdentity(server, identity)
  guard.stand(server)
  const authenticate = (socket: TLSSocket) =>
    authenticateClient(socket, guard.addressOf(socket), identity.current(), spiffe, revocations)
  const { connectionAgeMs } = limits
  const http1 = createHttp1({ endpoint: mcp, authenticate, guard, connectionAgeMs })
  server.on('unknownProtocol', http1.serve)
  const gonePeers = createGonePeerWatch()
  server.on('secureConnection', (socket) => gonePeers.watch(socket))

  server.on('session', (session) => {
    leanStreamTables(session)
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES)
    const client = authenticate(session.socket as TLSSocket)
    const watch = guard.watch(session, client, () => calls.drain(client, TOO_OLD))
    if (watch === null) return
    guarded.set(session, { client, watch })
    if (client.refusal !== null) dismiss(session)
  })
  server.on('stream', onStream)
  function onStream(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    _flags: number,
    rawHeaders: readonly string[],
  ): void {
    const session = stream.session
    const known = session === undefined ? undefined : guarded.get(session)
    if (known === undefined || !known.watch.opened(stream)) {
      stream.on('error', () => {})
      stream.close(constants.NGHTTP2_REFUSED_STREAM)
    } else if (mcp !== null && isMcpPath(headers[':path']))
      serveHttp2(mcp, stream, headers, trimmedFields(rawHeaders), known.client)
    else calls.handle(stream, trimmedFields(rawHeaders), known.client)
  }
  server.on('sessionError', (err) => log.debug({ err }, 'a connection ended with an error'))

  return {
    server,
    goAway() {
      http1.drain()
      for (const session of sessions) gracefulGoaway(session)
    },
    closeSessions() {
      http1.drain()
      for (const session of sessions) session.close()
    },
    release,
  }
}

function createServer(identity: IdentityStore, limits: GuardLimits): Http2SecureServer {
  const { handshakeMs, maxConcurrentStreams, headerBytes, headerCount, resetsPerSecond } = limits
  // `chooseProtocol` chooses it for each client
  const { ALPNProtocols: _, ...tlsOptions } = serverTlsOptions(identity.current())
  return createSecureServer({
    ...{ ...tlsOptions, ...TCP_KEEP_ALIVE },
    // Node sets it for HTTP/2 alone: an answer of HTTP/1.1 in two writes would wait 40 ms for the client's acknowledgement
    noDelay: true,
    allowHTTP1: false,
    ALPNCallback: chooseProtocol,
    handshakeTimeout: handshakeMs,
    maxHeaderListPairs: headerCount * HEADER_SLACK,
    // for answers, including the fields that the gateway adds
    maxSendHeaderBlockLength: MAX_METADATA_BYTES * 2,
    maxSessionInvalidFrames: 100,
    // delivered, and trimmed by our code: nghttp2 would drop a narrowing field in silence
    strictFieldWhitespaceValidation: false,
    maxSessionMemory: SESSION_MEMORY_MB,
    streamResetBurst: maxConcurrentStreams * 2,
    streamResetRate: resetsPerSecond,
    settings: {
      maxConcurrentStreams,
      initialWindowSize: WINDOW_BYTES,
      maxHeaderListSize: headerBytes * HEADER_SLACK,
      enablePush: false,
    },
  })
}

/** Leaves a refused connection open just long enough for the client to read the reason. */
function dismiss(session: ServerHttp2Session): void {
  const timer = setTimeout(() => session.destroy(), REFUSED_LINGER_MS)
  session.once('close', () => clearTimeout(timer))
  session.once('stream', (stream) => stream.once('close', () => session.close()))
}
