/** A port for operators and their tools: answers over HTTP/1.1, within limits, and waits for a body only where one is read. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Log } from '@clawmesh/agent-sdk/mesh'
import {
  createConnectionGate,
  type GatedClient,
  gateConnections,
} from '../limits/connection-gate.ts'
import { listenOn } from '../net/listen.ts'
import type { ListenAddress, Port } from '../net/port.ts'
import type { Metrics } from '../telemetry/metrics-port.ts'
import { createRefusalLog } from '../telemetry/refusal-log.ts'

// an import would load undici: docs/discoveries/an-import-of-node-http-loads-undici.md
const { createServer } = process.getBuiltinModule('node:http')

export interface HttpPortOptions {
  readonly name: 'admin' | 'health'
  readonly listen: ListenAddress
  readonly connectionRefused: Metrics['connectionRefused']
  readonly log: Pick<Log, 'warn'>
  /** Whether the body of a request is read. Default: bodies are ignored. */
  readonly takesBody?: (request: IncomingMessage) => boolean
  /** A connection on which nothing moves for so long is ended. It does not count while an answer is made. Default: 10,000. */
  readonly idleMs?: number
  /** How long an answer may be made; then the request is answered with 503. Default: 70,000. */
  readonly answerMs?: number
  /** Answers one request. What it throws is answered with 500. */
  answer(request: IncomingMessage, response: ServerResponse): Promise<void>
}

const IDLE_MS = 10_000
/** A little longer than a replay may take, which says more by itself. */
const ANSWER_MS = 70_000
const MAX_CONNECTIONS = 100
const LIMITS = Object.freeze({
  maxConnections: MAX_CONNECTIONS,
  maxConnectionsPerAddress: Number.POSITIVE_INFINITY,
  maxUnauthenticated: Number.POSITIVE_INFINITY,
  maxUnauthenticatedPerAddress: Number.POSITIVE_INFINITY,
  newConnectionsPerSecond: 1_000,
  authenticateMs: null,
  minEvictionAgeMs: 0,
})
/** @throws MeshError MESH_CONFIG_PORT */
export async function createHttpPort(options: HttpPortOptions): Promise<Port> {
  const unanswered = new WeakSet<Socket>()
  const server = createServer(
    {
      ...{
        maxHeaderSize: 8192,
        headersTimeout: 5000,
        requestTimeout: 5000,
        keepAliveTimeout: 5000,
      },
      // by default Node checks only every thirty seconds whether a header took too long
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => {
      const { socket } = request
      const client = gate.of(socket)
      // requests in one packet would all be computed before the first answer leaves, and before any traffic
      if (client === null || unanswered.has(socket)) {
        socket.destroy()
        return
      }
      unanswered.add(socket)
      response.once('close', () => unanswered.delete(socket))
      void answerRequest(request, response, options, client)
    },
  )
  const refused = createRefusalLog({ port: options.name, metrics: options, log: options.log })
  const gate = createConnectionGate({ limits: LIMITS, refused })
  gateConnections(server, gate)
  server.setTimeout(options.idleMs ?? IDLE_MS)
  server.on('clientError', (_error, socket) => {
    if (socket.writable)
      socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')
    else socket.destroy()
  })
  const address = await listenOn(server, options.listen, `${options.name}.listen`)
  let closing: Promise<void> | null = null
  const close = () => {
    closing ??= new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
    return closing
  }
  return {
    address,
    async drain(graceMs) {
      const timer = setTimeout(() => server.closeAllConnections(), graceMs)
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeIdleConnections()
      })
      clearTimeout(timer)
    },
    close,
  }
}

/** A connection is not evicted while its answer is made. One that sends or reads slowly keeps nobody out. */
async function answerRequest(
  request: IncomingMessage,
  response: ServerResponse,
  { answer, takesBody, idleMs = IDLE_MS, answerMs = ANSWER_MS }: HttpPortOptions,
  client: Pick<GatedClient, 'setAuthenticated'>,
): Promise<void> {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  const hasBody = length !== undefined || coding !== undefined
  const readsBody = hasBody && takesBody?.(request) === true
  const { socket } = request
  let late: NodeJS.Timeout | undefined
  const begin = () => {
    if (response.writableEnded) return
    client.setAuthenticated(true)
    // from now on the client waits for the gateway
    socket.setTimeout(0)
    late = setTimeout(giveUp, answerMs)
    response.once('close', () => clearTimeout(late))
  }
  const answered = () => {
    clearTimeout(late)
    client.setAuthenticated(false)
    // reading counts again, but for a client that has read all
    if (!response.writableFinished) socket.setTimeout(idleMs)
  }
  const giveUp = () => {
    answered()
    response.setHeader('connection', 'close')
    sendJson(response, 503, { error: `the answer takes longer than ${answerMs / 1_000} s` })
  }
  if (readsBody) request.once('end', begin)
  else begin()
  // an ignored body is not waited for
  if (hasBody && !readsBody) {
    response.setHeader('connection', 'close')
    request.resume()
  }
  try {
    await answer(request, response)
  } catch {
    // a failing metric must not end the gateway; the client gets an error
    if (!response.headersSent) send(response, 500, 'text/plain', 'the answer could not be made\n')
    else if (!response.writableEnded) response.destroy()
  } finally {
    answered()
  }
}

/** The path of a request, without its query. */
export function pathOf({ url = '' }: IncomingMessage): string {
  return url.split('?', 1)[0] ?? ''
}

/** Answers what is not one of the paths, or not GET. False when it did not. */
export function refuseOther(
  request: IncomingMessage,
  response: ServerResponse,
  paths: readonly string[],
): boolean {
  if (!paths.includes(pathOf(request))) {
    send(response, 404, 'text/plain', `there is ${paths.join(', ')}\n`)
    return true
  }
  if (request.method === 'GET' || request.method === 'HEAD') return false
  response.setHeader('allow', 'GET, HEAD')
  send(response, 405, 'text/plain', 'read only\n')
  return true
}

export function sendJson(response: ServerResponse, status: number, body: object): void {
  send(response, status, 'application/json', `${JSON.stringify(body)}\n`)
}

const NOTHING_RUNS = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

/** @param policy Content-Security-Policy. Default: nothing runs, and nothing is loaded */
export function send(
  response: ServerResponse,
  status: number,
  type: string,
  body: string,
  policy = NOTHING_RUNS,
): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'cross-origin-resource-policy': 'same-origin',
    'content-security-policy': policy,
  })
  response.end(response.req.method === 'HEAD' ? undefined : body)
}
