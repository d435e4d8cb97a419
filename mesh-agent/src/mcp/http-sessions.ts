/** The MCP sessions of one process over streamable HTTP: many, but a bounded number, and none that is idle for long. */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { isInitializeRequest } from '@modelcontextprotocol/sdk/types.js'
import { createMcpSession, type McpSessionOptions } from './mcp-session.ts'

export interface HttpSessionsOptions {
  readonly session: McpSessionOptions
  readonly maxSessions: number
  /** A session without a request for so long is closed, in milliseconds. */
  readonly idleMs: number
}

export interface HttpSessions {
  readonly size: number
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>
  close(): Promise<void>
}

interface Session {
  readonly transport: StreamableHTTPServerTransport
  close(): Promise<void>
  /** Requests that are being answered, the stream of notifications included. */
  open: number
  usedMs: number
}

/** A session that was used so recently is not closed for a new one. */
const SPARED_MS = 60_000
const SWEEP_MS = 30_000
const MAX_BODY_BYTES = 4 * 1024 * 1024

export function createHttpSessions(options: HttpSessionsOptions): HttpSessions {
  return new SessionTable(options)
}

class SessionTable implements HttpSessions {
  readonly #options: HttpSessionsOptions
  readonly #sessions = new Set<Session>()
  readonly #sweep: NodeJS.Timeout

  constructor(options: HttpSessionsOptions) {
    this.#options = options
    this.#sweep = setInterval(() => this.#closeIdle(), SWEEP_MS)
    this.#sweep.unref()
  }

  get size(): number {
    return this.#sessions.size
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const id = request.headers['mcp-session-id']
    if (id === undefined && request.method !== 'POST')
      return refuse(response, 400, 'the header Mcp-Session-Id is missing')
    const found = id === undefined ? null : this.#find(String(id))
    // clients begin anew with the id of the session that has ended
    const body = id === undefined || found !== null ? undefined : await readJson(request)
    if (id !== undefined && found === null && !isInitializeRequest(body))
      return refuse(response, 404, 'there is no such session')
    const session = found ?? (await this.#begin())
    if (session === null)
      return refuse(response, 503, 'there are too many sessions; try again later', {
        'retry-after': '60',
      })
    session.open += 1
    session.usedMs = performance.now()
    const done = () => {
      session.open -= 1
      session.usedMs = performance.now()
      // whatever it was, it did not begin a session
      if (session.transport.sessionId === undefined) void this.#end(session)
    }
    response.once('close', done)
    await session.transport.handleRequest(request, response, body)
  }

  async close(): Promise<void> {
    clearInterval(this.#sweep)
    await Promise.all([...this.#sessions].map((session) => this.#end(session)))
  }

  #find(id: string): Session | null {
    for (const session of this.#sessions) if (session.transport.sessionId === id) return session
    return null
  }

  async #begin(): Promise<Session | null> {
    if (this.#sessions.size >= this.#options.maxSessions && !this.#makeRoom()) return null
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      maxRequestBodySize: MAX_BODY_BYTES,
      onsessionclosed: () => void this.#end(session),
    })
    const server = createMcpSession(this.#options.session)
    const session: Session = {
      ...{ transport, open: 0, usedMs: performance.now() },
      close: () => server.close(),
    }
    this.#sessions.add(session)
    await server.connect(transport)
    return session
  }

  /** Closes the session that has been idle for longest, if that is long enough. */
  #makeRoom(): boolean {
    const idle = [...this.#sessions].filter(({ open }) => open === 0)
    const [oldest] = idle.sort((a, b) => a.usedMs - b.usedMs)
    if (oldest === undefined || performance.now() - oldest.usedMs < SPARED_MS) return false
    void this.#end(oldest)
    return true
  }

  #closeIdle(): void {
    const before = performance.now() - this.#options.idleMs
    for (const session of this.#sessions)
      if (session.open === 0 && session.usedMs < before) void this.#end(session)
  }

  /** Never rejects. */
  async #end(session: Session): Promise<void> {
    if (!this.#sessions.delete(session)) return
    // nobody waits for most of these ends
    await session.close().catch((err: unknown) => {
      this.#options.session.log.warn({ err }, 'an MCP session did not end well')
    })
  }
}

/** Undefined for what is no JSON, or too long. */
async function readJson(request: IncomingMessage): Promise<unknown> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of request) {
    if (!Buffer.isBuffer(piece)) continue
    bytes += piece.length
    if (bytes > MAX_BODY_BYTES) return undefined
    pieces.push(piece)
  }
  try {
    return JSON.parse(Buffer.concat(pieces).toString('utf8'))
  } catch {
    return undefined
  }
}

/** As MCP answers what is no message: JSON-RPC 2.0, without an id. */
export function refuse(
  response: ServerResponse,
  status: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = JSON.stringify({ jsonrpc: '2.0', error: { code: -32_000, message }, id: null })
  // what is left of the body is not read
  response.writeHead(status, {
    'content-type': 'application/json',
    connection: 'close',
    ...headers,
  })
  response.end(body)
}
