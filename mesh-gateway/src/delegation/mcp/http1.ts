/**
 * HTTP/1.1 on the delegation port: the MCP endpoint is served to an agent's certificate. Every other request gets the
 * protocol to use, then the connection is closed.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Client } from '../client/authenticate.ts'
import type { Guard } from '../client/guard.ts'
import { answerHttp1 } from '../other-protocols/answer-http1.ts'
import { isMcpPath, type McpEndpoint } from './endpoint.ts'

// an import would load undici: docs/discoveries/an-import-of-node-http-loads-undici.md
const { createServer } = process.getBuiltinModule('node:http')

export interface Http1Options {
  /** Null when it is not served. */
  readonly endpoint: Pick<McpEndpoint, 'serve'> | null
  readonly authenticate: (socket: TLSSocket) => Client
  readonly guard: Pick<Guard, 'watchHttp1' | 'countHttp1'>
  /** The age at which a connection takes no new requests; 0 for never. In milliseconds. */
  readonly connectionAgeMs: number
}

export interface Http1 {
  /** Takes over a connection whose handshake is done. */
  serve(socket: TLSSocket): void
  /** Closes idle connections, and the others after what they are at. */
  drain(): void
}

interface Connection {
  readonly client: Client
  readonly bornMs: number
  open: number
}

const MAX_HEAD_BYTES = 16_384
/** Of one connection: more in one packet would hold up other traffic. */
const MAX_UNANSWERED = 16
/** Silence in the middle of a request, and between requests, in milliseconds. */
const SILENCE_MS = 60_000

export function createHttp1(options: Http1Options): Http1 {
  const { endpoint, authenticate, guard, connectionAgeMs } = options
  const connections = new Map<Socket, Connection>()
  const unanswered = new WeakMap<Socket, number>()
  let draining = false
  const server = createServer({ maxHeaderSize: MAX_HEAD_BYTES, keepAliveTimeout: SILENCE_MS })
  server.timeout = SILENCE_MS
  // a malformed head has no protocol in which to answer
  server.on('clientError', (_error, socket) => socket.destroy())
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request
    // requests in one packet are all served before the first answer leaves, and before any other traffic
    const before = unanswered.get(socket) ?? 0
    if (before >= MAX_UNANSWERED) {
      socket.destroy()
      return
    }
    unanswered.set(socket, before + 1)
    response.once('close', () => unanswered.set(socket, (unanswered.get(socket) ?? 1) - 1))
    const connection = connections.get(socket)
    if (endpoint === null || connection === undefined || !isMcpPath(request.url)) {
      guard.countHttp1(socket)
      answerHttp1(request, response)
      return
    }
    // the answer may take as long as the task
    socket.setTimeout(0)
    connection.open += 1
    response.once('close', () => {
      connection.open -= 1
      if (draining) socket.end()
    })
    const { client, bornMs } = connection
    const aged = connectionAgeMs > 0 && performance.now() - bornMs > connectionAgeMs
    if (draining || aged || client.refusal !== null) response.setHeader('connection', 'close')
    endpoint.serve(request, response, client)
  })

  return {
    serve(socket) {
      if (endpoint !== null) {
        const client = authenticate(socket)
        if (!guard.watchHttp1(socket, client)) return
        connections.set(socket, { client, bornMs: performance.now(), open: 0 })
        socket.once('close', () => connections.delete(socket))
      }
      server.emit('connection', socket)
    },
    drain() {
      draining = true
      for (const [socket, { open }] of connections) if (open === 0) socket.destroy()
    },
  }
}
