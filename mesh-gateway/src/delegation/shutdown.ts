/** The two ends of the delegation port: the graceful one, and the one at once. */
import type { Port } from '../net/port.ts'
import type { Guard } from './client/guard.ts'
import type { ClientListener } from './client/listen-for-clients.ts'
import type { McpEndpoint } from './mcp/endpoint.ts'
import type { CallHandler } from './serve-call.ts'

/** How long the last frames of a connection may take to leave, in milliseconds. */
const LAST_FRAMES_MS = 1_000

export interface Closable {
  readonly listener: ClientListener
  readonly guard: Pick<Guard, 'dismissStrangers' | 'endAll'>
  readonly calls: Pick<CallHandler, 'drain'>
  readonly mcp: Pick<McpEndpoint, 'release'> | null
  /** Called once all connections are closed. */
  release(): void
}

export function shutdown({
  listener,
  guard,
  calls,
  mcp,
  release,
}: Closable): Pick<Port, 'drain' | 'close'> {
  const { server } = listener
  const closed = new Promise<void>((resolve) => server.once('close', () => resolve()))

  /** Each call gets the reason for its end. A client that does not read the last frames is not waited for. */
  async function endAll(): Promise<void> {
    // first, so that its answers say that the tasks go on
    mcp?.release()
    calls.drain()
    listener.closeSessions()
    const timer = setTimeout(() => guard.endAll(), LAST_FRAMES_MS)
    await closed
    clearTimeout(timer)
  }

  return {
    async drain(graceMs) {
      server.close()
      guard.dismissStrangers()
      listener.goAway()
      const timer = setTimeout(endAll, graceMs)
      await closed
      clearTimeout(timer)
      release()
    },
    async close() {
      server.close()
      guard.dismissStrangers()
      await endAll()
      release()
    },
  }
}
