/** The MCP door over streamable HTTP, on loopback: many clients, one process, one agent. */
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { MeshError, type Secret } from '@clawmesh/proto'
import { judgeRequest } from './http-gate.ts'
import { createHttpSessions, refuse } from './http-sessions.ts'
import type { McpSessionOptions } from './mcp-session.ts'

// an import would load undici: docs/discoveries/an-import-of-node-http-loads-undici.md
const { createServer } = process.getBuiltinModule('node:http')

export interface HttpOptions extends McpSessionOptions {
  /** A loopback address. Port 0: a free one. */
  readonly listen: { readonly host: string; readonly port: number }
  readonly secret: Secret
  readonly origins: readonly string[]
  readonly maxSessions: number
  /** A session without a request for so long is closed, in milliseconds. Default one hour. */
  readonly idleMs?: number
}

export interface McpHttpDoor {
  readonly url: string
  close(): Promise<void>
}

const PATH = '/mcp'
const MAX_CONNECTIONS = 512
/** Of a head, and of a whole request: input comes from this machine. */
const REQUEST_MS = 30_000
const HOUR_MS = 3_600_000

/** @throws MeshError MESH_CONFIG_PORT */
export async function serveHttp(options: HttpOptions): Promise<McpHttpDoor> {
  const { listen, secret, origins, maxSessions, idleMs = HOUR_MS, log } = options
  const sessions = createHttpSessions({ session: options, maxSessions, idleMs })
  const server = createServer({ requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS })
  server.maxConnections = MAX_CONNECTIONS
  await listening(server, listen)
  const { port } = addressOf(server)
  server.on('request', (request, response) => {
    const refusal = judgeRequest(request, { port, secret, origins })
    if (refusal !== null) return refuse(response, refusal.status, refusal.message)
    if (!isOfDoor(request.url ?? '')) return refuse(response, 404, `the path is ${PATH}`)
    sessions.handle(request, response).catch((err: unknown) => {
      log.error({ err }, 'an MCP request failed')
      if (!response.headersSent) refuse(response, 500, 'it failed')
      response.end()
    })
  })
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host
  return {
    url: `http://${host}:${port}${PATH}`,
    async close() {
      const closed = once(server, 'close')
      server.close()
      await sessions.close()
      server.closeAllConnections()
      await closed
    },
  }
}

/** @param target as sent: it may be no URL */
function isOfDoor(target: string): boolean {
  const base = 'http://localhost'
  // clients add the slash
  return URL.canParse(target, base) && [PATH, `${PATH}/`].includes(new URL(target, base).pathname)
}

async function listening(server: Server, { host, port }: HttpOptions['listen']): Promise<void> {
  try {
    server.listen({ host, port })
    await once(server, 'listening')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    throw new MeshError('MESH_CONFIG_PORT', `cannot listen on ${host}:${port} (${code})`, {
      cause: error,
      hint: 'another program may have the port: choose another with --listen',
    })
  }
}

function addressOf(server: Server): AddressInfo {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return address
}
