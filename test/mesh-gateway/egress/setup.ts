/** What tests of the egress port close when they end, and the policy that most of them want. */
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import { closeServer, listenOnFreePort } from '../../support/http-origin.ts'
import type { TestCa } from '../../support/test-ca.ts'
import {
  type Fixture,
  type FixtureOptions,
  startEgress,
  startUpstream,
  type Upstream,
} from './fixture.ts'

export interface Setup {
  readonly closing: (() => Promise<void>)[]
  /** A port through which agent acme/bot-01 may reach `api.test` on that port. */
  egress(port: number, options?: FixtureOptions): Promise<Fixture>
  upstream(...args: Parameters<typeof startUpstream>): Promise<Upstream>
  http(serve: RequestListener): Promise<{ readonly port: number; readonly server: Server }>
  /** Over TLS, with a certificate of `ca` for planner.acme.mesh.internal. */
  https(serve: RequestListener, ca: TestCa): Promise<SecureOrigin>
  close(): Promise<void>
}

export interface SecureOrigin {
  readonly port: number
  readonly server: TlsServer
  /** PEM. */
  readonly certificate: string
  /** That it is verified by, PEM. */
  readonly roots: string
}

export function setUp(): Setup {
  const closing: (() => Promise<void>)[] = []
  return {
    closing,
    async egress(port, options = {}) {
      const fixture = await startEgress({
        names: { 'api.test': ['127.0.0.1'] },
        ...options,
        egress: { allow: [`api.test:${port}`], ...options.egress },
        global: { ports: [80, 443, port], ...options.global },
      })
      closing.push(fixture.close)
      return fixture
    },
    async upstream(serve) {
      const upstream = await startUpstream(serve)
      closing.push(upstream.close)
      return upstream
    },
    async http(serve) {
      const server = createServer(serve)
      const port = await listenOnFreePort(server)
      closing.push(() => closeServer(server))
      return { port, server }
    },
    async https(serve, { ca }) {
      const issued = ca.issueAgent({ tenant: 'acme', agent: 'planner' })
      const { certificateChain: certificate, roots } = issued
      const server = createTlsServer({ cert: certificate, key: issued.privateKey.reveal() }, serve)
      const port = await listenOnFreePort(server)
      closing.push(() => closeServer(server))
      return { port, server, certificate, roots }
    },
    async close() {
      for (const close of closing.splice(0).reverse()) await close()
    },
  }
}

/** `Proxy-Authorization` as proxy URLs make it. */
export function basic(token: string, user = 'bot-01'): string {
  return `Proxy-Authorization: Basic ${Buffer.from(`${user}:${token}`).toString('base64')}\r\n`
}

/** The fields by which a client asks for a WebSocket, and the head of the answer that opens one (the example of RFC 6455, section 1.3). */
export const UPGRADE =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
export const SWITCH =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n'

/** A request in absolute form for api.test. */
export function get(port: number, headers: string, path = '/', method = 'GET'): string {
  return `${method} http://api.test:${port}${path} HTTP/1.1\r\nHost: api.test:${port}\r\n${headers}\r\n`
}

export function connectTo(port: number, headers: string, host = 'api.test'): string {
  return `CONNECT ${host}:${port} HTTP/1.1\r\nHost: ${host}:${port}\r\n${headers}\r\n`
}
