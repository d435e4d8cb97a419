/**
 * An egress port without a gateway, for what the SDK does with one: it sends every request in absolute form to one
 * origin, and each tunnel to one TLS server, whatever host they name.
 */
import * as http from 'node:http'
import * as https from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { parseTraceparent, Secret } from '@clawmesh/proto'
import { createEgressClient, type EgressClient } from '../../../agent-sdk/src/egress/agent-fetch.ts'
import { makeTestCa } from '../../support/test-ca.ts'

export interface StandInEgress {
  /** A client whose tokens are always good. */
  readonly client: EgressClient
  /** What goes direct, to compare with. */
  readonly origin: string
  /** The host that the TLS server's certificate is for. */
  readonly secure: string
  /** `METHOD target` of what the port was asked for. */
  readonly asked: string[]
  /** The trace ids that came to the port, of each request in turn. */
  readonly traces: (string | undefined)[]
  /** Sockets of tunnels, the port's side. */
  readonly tunnels: Set<Socket>
  close(): Promise<void>
}

export async function startStandInEgress(listener: http.RequestListener): Promise<StandInEgress> {
  const ca = await makeTestCa()
  const { certificateChain, privateKey, roots } = ca.ca.issueAgent({ tenant: 'acme', agent: 'web' })
  const asked: string[] = []
  const traces: (string | undefined)[] = []
  const noteTrace = ({ headers }: http.IncomingMessage) =>
    void traces.push(parseTraceparent(headers.traceparent?.toString())?.traceId)
  const sockets = new Set<Socket>()
  const tunnels = new Set<Socket>()
  const origin = http.createServer(listener)
  const secure = https.createServer({ cert: certificateChain, key: privateKey.reveal() }, listener)
  const port = http.createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    noteTrace(request)
    const { 'proxy-authorization': _token, traceparent: _trace, ...headers } = request.headers
    const { pathname, search } = new URL(request.url ?? '')
    const onward = http.request({
      ...{ host: '127.0.0.1', port: portOf(origin), path: pathname + search, headers },
      method: request.method ?? 'GET',
    })
    onward.on('response', (answered) => {
      response.writeHead(answered.statusCode ?? 502, answered.statusMessage, answered.headers)
      answered.pipe(response)
    })
    onward.on('error', () => response.destroy())
    response.on('close', () => onward.destroy())
    request.pipe(onward)
  })
  port.on('connect', (request: http.IncomingMessage, socket: Socket) => {
    asked.push(`CONNECT ${request.url}`)
    noteTrace(request)
    tunnels.add(socket)
    socket.once('close', () => tunnels.delete(socket))
    const onward = connect(portOf(secure), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      onward.pipe(socket).pipe(onward)
    })
    onward.on('error', () => socket.destroy())
    socket.on('error', () => {})
    socket.on('close', () => onward.destroy())
  })
  for (const server of [origin, secure, port]) {
    server.on('connection', (socket: Socket) => {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  }
  const token = { token: new Secret('t'), expiresMs: Infinity, boundTo: null }
  const client = createEgressClient({
    proxy: new URL(`http://127.0.0.1:${portOf(port)}`),
    tokens: {
      get: async () => token,
      refuse: () => {},
    },
    ca: roots,
  })
  return {
    client,
    origin: `http://127.0.0.1:${portOf(origin)}`,
    secure: 'web.acme.mesh.internal',
    asked,
    traces,
    tunnels,
    async close() {
      await client.close()
      for (const socket of sockets) socket.destroy()
      for (const server of [port, origin, secure])
        await new Promise((resolve) => server.close(resolve))
      await ca.close()
    },
  }
}

function portOf(server: http.Server | https.Server): number {
  const address: AddressInfo | string | null = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}
