/**
 * Opens CONNECT tunnels through the egress port, for undici's agents. undici's own ProxyAgent keeps
 * neither the status line nor the body of a CONNECT that was refused, and they say why.
 */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { MeshError, Secret } from '@clawmesh/proto'
import { buildConnector } from 'undici'
import { dialFailure } from './port-dialer.ts'
import { reachPort } from './reach-port.ts'
import { REFUSAL_BYTES, refusalInBody, refusalInStatusLine } from './refusal.ts'

// an import would load undici: docs/discoveries/an-import-of-node-http-loads-undici.md
const { request } = process.getBuiltinModule('node:http')

export interface TunnelOptions {
  readonly proxy: URL
  readonly token: Secret<string>
  /** For the connection to the destination. Default: the public CAs. */
  readonly ca?: string
  readonly timeoutMs: number
  /** Connects to a port that speaks TLS; null: it does not. */
  readonly dial: (() => TLSSocket) | null
  /** For the CONNECT, a span of the trace that it is opened for. */
  readonly traceparent: () => string
}

// how long the rest of a refusal may take
const REFUSAL_MS = 2_000

export function connectByTunnel(options: TunnelOptions): buildConnector.connector {
  const { ca, timeoutMs } = options
  const handshake = buildConnector({
    timeout: timeoutMs,
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca }),
  })
  return (target, callback) => {
    openTunnel(options, target).then(
      (socket) => handshake({ ...target, httpSocket: socket }, callback),
      (error: unknown) => callback(error instanceof Error ? error : new Error('tunnel'), null),
    )
  }
}

function openTunnel(options: TunnelOptions, target: buildConnector.Options): Promise<Socket> {
  const { proxy, token, timeoutMs, traceparent, dial } = options
  const host = target.hostname.includes(':')
    ? `[${target.hostname.replace(/^\[|\]$/g, '')}]`
    : target.hostname
  const authority = `${host}:${target.port || (target.protocol === 'http:' ? '80' : '443')}`
  return new Promise((resolve, reject) => {
    const connect = request({
      host: proxy.hostname.replace(/^\[|\]$/g, ''),
      port: proxy.port || 80,
      method: 'CONNECT',
      path: authority,
      headers: {
        host: authority,
        'proxy-authorization': `Bearer ${token.reveal()}`,
        traceparent: traceparent(),
      },
      timeout: timeoutMs,
      // an agent of node:http, which `false` makes too, would not ask createConnection
      createConnection: () => reachPort(proxy, dial).socket,
    })
    connect.once('connect', (response, socket: Socket, head) => {
      socket.setTimeout(0)
      if (response.statusCode === 200) {
        if (head.length > 0) socket.unshift(head)
        resolve(socket)
        return
      }
      readRefusal(response, socket, head).then(reject, reject)
    })
    // a proxy that answers CONNECT with a plain response
    connect.once('response', (response) => {
      response.destroy()
      reject(refusalInStatusLine(response.statusCode ?? 0, response.statusMessage ?? ''))
    })
    connect.once('timeout', () => connect.destroy(new Error('the egress port does not answer')))
    connect.once('error', (cause) => reject(dialFailure(cause)))
    connect.end()
  })
}

async function readRefusal(
  response: IncomingMessage,
  socket: Socket,
  head: Buffer,
): Promise<MeshError> {
  const length = Math.min(Number(response.headers['content-length'] ?? 0) || 0, REFUSAL_BYTES)
  const chunks: Buffer[] = [head]
  let have = head.length
  const timer = setTimeout(() => socket.destroy(), REFUSAL_MS)
  try {
    if (have < length)
      for await (const chunk of socket) {
        if (!Buffer.isBuffer(chunk)) break
        chunks.push(chunk)
        have += chunk.length
        if (have >= length) break
      }
  } catch {
    // the status line is here already, and says enough
  } finally {
    clearTimeout(timer)
    socket.on('error', () => {}).destroy()
  }
  const body = Buffer.concat(chunks).toString('utf8', 0, length)
  const retryAfter = response.headers['retry-after'] ?? null
  return (
    refusalInBody(body, retryAfter) ??
    refusalInStatusLine(response.statusCode ?? 0, response.statusMessage ?? '')
  )
}
