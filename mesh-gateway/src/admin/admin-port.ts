/**
 * The admin port: /metrics, /health, /ready and a status page, for operators and their tools. Read-only, shows no
 * secret, and refuses names that are not its own, so that a web page cannot read it by DNS rebinding.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { isIP } from 'node:net'
import type { Log } from '@clawmesh/agent-sdk/mesh'
import { createConnectionGate, gateConnections } from '../limits/connection-gate.ts'
import type { MaybePromise } from '../limits/limits.ts'
import { listenOn } from '../net/listen.ts'
import type { ListenAddress, Port } from '../net/port.ts'
import {
  METRICS_CONTENT_TYPES,
  type MetricsFormat,
  metricsFormatFor,
} from '../telemetry/metrics-format.ts'
import type { Metrics } from '../telemetry/metrics-port.ts'
import { createRefusalLog } from '../telemetry/refusal-log.ts'
import { VERSION } from '../version.ts'
import { type Missing, renderStatusPage, type StatusRow } from './status-page.ts'

/** The data of an admin port, of this process or of several. */
export interface AdminView {
  /** Names accepted in Host, besides localhost and IP addresses; lower case. */
  readonly names: () => readonly string[]
  readonly metrics: { text(format: MetricsFormat): Promise<string> }
  /** Reasons why it is not ready; empty when it is. */
  readonly missing: () => MaybePromise<readonly Missing[]>
  /** Faults that do not stop the gateway. Default: none. */
  readonly degraded?: () => MaybePromise<readonly Missing[]>
  /** The rows of the status page. */
  readonly status: () => MaybePromise<readonly StatusRow[]>
}

export interface AdminPortOptions extends AdminView {
  readonly listen: ListenAddress
  readonly connectionRefused: Metrics['connectionRefused']
  readonly log: Pick<Log, 'warn'>
}

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
const PATHS = ['/', '/metrics', '/health', '/ready']

/** @throws MeshError MESH_CONFIG_PORT */
export async function createAdminPort(options: AdminPortOptions): Promise<Port> {
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
      // a connection with a pending answer is not evicted
      const client = gate.of(request.socket)
      client?.setAuthenticated(true)
      response.once('close', () => client?.setAuthenticated(false))
      answer(request, response, options).catch(() => {
        // a failing metric must not end the gateway; the client gets an error
        if (!response.headersSent)
          send(response, 500, 'text/plain', 'the answer could not be made\n')
        else response.destroy()
      })
    },
  )
  const refused = createRefusalLog({ port: 'admin', metrics: options, log: options.log })
  const gate = createConnectionGate({ limits: LIMITS, refused })
  gateConnections(server, gate)
  server.setTimeout(10_000)
  server.on('clientError', (_error, socket) => {
    if (socket.writable)
      socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')
    else socket.destroy()
  })
  const address = await listenOn(server, options.listen, 'admin.listen')
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

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: AdminPortOptions,
): Promise<void> {
  // bodies are ignored: do not wait for one
  if (
    request.headers['content-length'] !== undefined ||
    request.headers['transfer-encoding'] !== undefined
  ) {
    response.setHeader('connection', 'close')
    request.resume()
  }
  if (!isOwnHost(request.headers.host, options.names()))
    return send(
      response,
      421,
      'text/plain',
      'ask by IP address, as localhost, or by a name in delegation.names\n',
    )
  const path = (request.url ?? '').split('?', 1)[0] ?? ''
  if (!PATHS.includes(path))
    return send(response, 404, 'text/plain', `there is ${PATHS.join(', ')}\n`)
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD')
    return send(response, 405, 'text/plain', 'read only\n')
  }
  if (path === '/metrics') {
    const format = metricsFormatFor(request.headers.accept)
    response.setHeader('vary', 'accept')
    return send(response, 200, METRICS_CONTENT_TYPES[format], await options.metrics.text(format))
  }
  if (path === '/health') return sendJson(response, 200, { status: 'up', version: VERSION })
  const missing = await options.missing()
  const degraded = (await options.degraded?.()) ?? []
  if (path === '/ready') {
    const told = degraded.length === 0 ? {} : { degraded }
    return missing.length === 0
      ? sendJson(response, 200, { status: 'ready', ...told })
      : sendJson(response, 503, { status: 'not ready', missing, ...told })
  }
  const page = renderStatusPage(await options.status(), missing, degraded)
  send(response, 200, 'text/html; charset=utf-8', page)
}

/** Without Host (HTTP/1.0, as health checks send it) the client is no browser. */
function isOwnHost(header: string | undefined, names: readonly string[]): boolean {
  if (header === undefined) return true
  const host = header.toLowerCase().replace(/:\d{1,5}$/, '')
  if (host.startsWith('[') && host.endsWith(']')) return isIP(host.slice(1, -1)) === 6
  return host === 'localhost' || isIP(host) === 4 || names.includes(host)
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  send(response, status, 'application/json', `${JSON.stringify(body)}\n`)
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-security-policy':
      "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  })
  response.end(response.req.method === 'HEAD' ? undefined : body)
}
