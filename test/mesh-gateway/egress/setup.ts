/** What tests of the egress port close when they end, and the policy that most of them want. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
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
  close(): Promise<void>
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
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const address = server.address()
      assert.ok(typeof address === 'object' && address !== null)
      closing.push(async () => {
        server.closeAllConnections()
        server.close()
        await once(server, 'close')
      })
      return { port: address.port, server }
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

/** A request in absolute form for api.test. */
export function get(port: number, headers: string, path = '/', method = 'GET'): string {
  return `${method} http://api.test:${port}${path} HTTP/1.1\r\nHost: api.test:${port}\r\n${headers}\r\n`
}

export function connectTo(port: number, headers: string, host = 'api.test'): string {
  return `CONNECT ${host}:${port} HTTP/1.1\r\nHost: ${host}:${port}\r\n${headers}\r\n`
}
