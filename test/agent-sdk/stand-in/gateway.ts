/**
 * A gateway small enough to be broken on purpose: mTLS on both hops, routes by :authority, names the caller,
 * cuts streams and dies when told. It knows no policy.
 */
import * as http2 from 'node:http2'
import { TLSSocket, connect as tlsConnect } from 'node:tls'
import {
  checkIsAgent,
  clientTlsOptions,
  followIdentity,
  type IdentityStore,
  readPeer,
  serverTlsOptions,
} from '@clawmesh/agent-sdk/mesh'
import { GRPC_STATUS, MeshError, type SpiffeTemplate } from '@clawmesh/proto'
import { encodeStatusDetails, loadProto, messageOf } from '@clawmesh/proto/wire'
import { freePort } from '../../../scripts/dev/free-ports.ts'

export interface StandInGateway {
  readonly address: string
  readonly port: number
  /** Peer name to port on 127.0.0.1. */
  readonly peers: Map<string, number>
  /** What came in: `:authority` and path. */
  readonly calls: { authority: string; path: string; headers: http2.IncomingHttpHeaders }[]
  /** Asked for each response stream: after how many bytes to cut it; null lets it be. */
  cut: () => number | null
  /** Asked for each call before it is sent on; an error refuses it. */
  refuse: (path: string) => MeshError | null
  /** What ExchangeToken answers. */
  token: () => { token: string; expiresMs: number }
  /** Destroys all connections, and listens on. */
  breakConnections(): void
  /** Stops listening and destroys all connections. */
  kill(): Promise<void>
  /** Listens again on the same port. */
  revive(): Promise<void>
  close(): Promise<void>
}

const mesh = loadProto('clawmesh/mesh/v1/mesh.proto')
const tokenResponse = messageOf<{
  token: string
  expires: { seconds: number; nanos: number }
  allowed_destinations: string[]
}>(mesh, 'clawmesh.mesh.v1.ExchangeTokenResponse')
const whoAmIResponse = messageOf<{ spiffe_id: string; tenant: string; agent: string }>(
  mesh,
  'clawmesh.mesh.v1.WhoAmIResponse',
)
const peersResponse = messageOf<{ peers: object[] }>(mesh, 'clawmesh.mesh.v1.ListPeersResponse')

export async function startStandInGateway(options: {
  readonly store: IdentityStore
  readonly spiffe: SpiffeTemplate
}): Promise<StandInGateway> {
  const { store, spiffe } = options
  const sockets = new Set<TLSSocket>()
  const upstreams = new Map<string, http2.ClientHttp2Session>()
  let server: http2.Http2SecureServer
  const port = await freePort()

  const gateway: StandInGateway = {
    address: `127.0.0.1:${port}`,
    port,
    peers: new Map(),
    calls: [],
    cut: () => null,
    refuse: () => null,
    token: () => ({ token: 'stand-in', expiresMs: Date.now() + 900_000 }),
    breakConnections() {
      for (const socket of sockets) socket.destroy()
    },
    async kill() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      gateway.breakConnections()
      for (const session of upstreams.values()) session.destroy()
      upstreams.clear()
      await closed
    },
    revive: listen,
    close: () => gateway.kill(),
  }

  async function listen(): Promise<void> {
    server = http2.createSecureServer({ ...serverTlsOptions(store.current()) })
    followIdentity(server, store)
    server.on('secureConnection', (socket: TLSSocket) => {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => sockets.delete(socket))
    })
    server.on('session', (session) => session.on('error', () => {}))
    server.on('stream', (stream, headers) => {
      stream.on('error', () => {})
      handle(stream, headers).catch((error: unknown) => fail(stream, error))
    })
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  }

  async function handle(stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) {
    const socket = stream.session?.socket
    if (!(socket instanceof TLSSocket)) throw new Error('no tls')
    const peer = readPeer(socket, { spiffe, roots: store.current().roots })
    const caller = checkIsAgent(peer)
    const authority = (headers[':authority'] ?? '').replace(/:\d+$/, '')
    const path = headers[':path'] ?? ''
    gateway.calls.push({ authority, path, headers })
    const refusal = gateway.refuse(path)
    if (refusal !== null) throw refusal
    if (authority.startsWith('gateway.')) {
      answerOwn(stream, path, { spiffe_id: peer.identity.id, ...caller })
      return
    }
    const to = gateway.peers.get(authority)
    if (to === undefined) throw new MeshError('MESH_PEER_UNRESOLVED')
    const kept = Object.entries(headers).filter(([name]) => !name.startsWith('x-mesh-'))
    const request = (await upstreamTo(to)).request({
      ...Object.fromEntries(kept),
      'x-mesh-caller': peer.identity.id,
      'x-mesh-tenant': caller.tenant,
    })
    request.on('error', () => {})
    stream.pipe(request)
    stream.once('aborted', () => request.close(http2.constants.NGHTTP2_CANCEL))
    forward(request, stream, gateway.cut())
  }

  function forward(
    from: http2.ClientHttp2Stream,
    to: http2.ServerHttp2Stream,
    cutAfter: number | null,
  ) {
    let trailers: http2.IncomingHttpHeaders | null = null
    let seen = 0
    from.once('response', (headers, flags) => {
      if (to.destroyed) return
      const endStream = (flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0
      to.respond(headers, { endStream, waitForTrailers: !endStream })
      if (cutAfter === 0) return void to.close(http2.constants.NGHTTP2_INTERNAL_ERROR)
      from.on('data', (chunk: Buffer) => {
        const rest = cutAfter === null ? chunk.length : cutAfter - seen
        seen += chunk.length
        // what was read before the cut reached the peer comes all the same
        if (to.destroyed || rest < 0) return
        if (rest < chunk.length) {
          to.write(chunk.subarray(0, rest), () => to.close(http2.constants.NGHTTP2_INTERNAL_ERROR))
          from.close(http2.constants.NGHTTP2_CANCEL)
          return
        }
        if (!to.write(chunk)) {
          from.pause()
          to.once('drain', () => from.resume())
        }
      })
      from.once('end', () => to.end())
    })
    to.once('wantTrailers', () => {
      if (!to.destroyed) to.sendTrailers(trailers ?? { 'grpc-status': '14' })
    })
    from.once('trailers', (headers) => {
      trailers = headers
    })
    from.once('close', () => {
      if (from.rstCode !== 0 && !to.destroyed) to.close(from.rstCode)
    })
  }

  async function upstreamTo(to: number): Promise<http2.ClientHttp2Session> {
    // a renewed certificate gets a new connection
    const key = `${to} ${store.current().generation}`
    const known = upstreams.get(key)
    if (known !== undefined && !known.closed && !known.destroyed) return known
    const tls = clientTlsOptions(store.current(), spiffe, () => {})
    const session = http2.connect(`https://127.0.0.1:${to}`, {
      createConnection: () => tlsConnect({ ...tls, host: '127.0.0.1', port: to }),
    })
    upstreams.set(key, session)
    session.once('close', () => {
      if (upstreams.get(key) === session) upstreams.delete(key)
    })
    await new Promise<void>((resolve, reject) => {
      session.once('connect', () => resolve())
      session.once('error', (cause) =>
        reject(new MeshError('MESH_PEER_UNREACHABLE', undefined, { cause })),
      )
    })
    session.on('error', () => {})
    return session
  }

  function answerOwn(
    stream: http2.ServerHttp2Stream,
    path: string,
    who: { spiffe_id: string; tenant: string; agent: string },
  ) {
    const { token, expiresMs } = gateway.token()
    const expires = { seconds: Math.floor(expiresMs / 1000), nanos: (expiresMs % 1000) * 1e6 }
    const message = path.endsWith('/WhoAmI')
      ? whoAmIResponse.serialize(who)
      : path.endsWith('/ListPeers')
        ? peersResponse.serialize({
            peers: [
              {
                name: 'b.acme.mesh.internal',
                tenant: 'acme',
                agent: 'b',
                methods: ['*'],
                rule: 'r',
              },
            ],
          })
        : tokenResponse.serialize({ token, expires, allowed_destinations: [] })
    const head = Buffer.alloc(5)
    head.writeUInt32BE(message.length, 1)
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc' },
      { waitForTrailers: true },
    )
    stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.end(Buffer.concat([head, message]))
  }

  function fail(stream: http2.ServerHttp2Stream, thrown: unknown) {
    if (stream.destroyed || stream.headersSent) return
    const error =
      thrown instanceof MeshError
        ? thrown
        : new MeshError('MESH_GATEWAY_INTERNAL', undefined, { cause: thrown })
    stream.respond(
      {
        ':status': 200,
        'content-type': 'application/grpc',
        'grpc-status': String(GRPC_STATUS[error.row.grpc]),
        'grpc-message': encodeURIComponent(error.publicMessage),
        'grpc-status-details-bin': encodeStatusDetails(error).toString('base64'),
        'x-mesh-refusal': error.code,
      },
      { endStream: true },
    )
  }

  await listen()
  return gateway
}
