/** The MCP door over stdin and stdout: one client, one session. It ends with its client. */
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { createMcpSession, type McpSessionOptions } from './mcp-session.ts'

export interface StdioOptions extends McpSessionOptions {
  readonly stdin: Readable
  readonly stdout: Writable
  /** Aborts when the process is told to end. */
  readonly signal: AbortSignal
}

/** A message holds at most the input of a task. */
const MAX_MESSAGE_BYTES = 8 * 1024 * 1024

/** Resolves when the client has gone, or the signal aborts. */
export async function serveStdio({
  stdin,
  stdout,
  signal,
  ...options
}: StdioOptions): Promise<void> {
  const server = createMcpSession(options)
  const transport = new StdioServerTransport(stdin, stdout, { maxBufferSize: MAX_MESSAGE_BYTES })
  const closed = Promise.withResolvers<void>()
  server.onclose = closed.resolve
  await server.connect(transport)
  // the transport does not look for the end of its input
  const gone = new AbortController()
  const ended = Promise.race([
    once(stdin, 'end', { signal: gone.signal }),
    once(stdin, 'close', { signal: gone.signal }),
    once(signal, 'abort', { signal: gone.signal }),
    closed.promise,
  ]).catch(() => {
    // an input that breaks has ended
  })
  if (!signal.aborted && !stdin.readableEnded) await ended
  gone.abort()
  await server.close()
}
