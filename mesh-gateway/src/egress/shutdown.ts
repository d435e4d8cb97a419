/** Ends the egress port: in order, or at once. */
import type { Port } from '../net/port.ts'
import type { Connections } from './client/connections.ts'
import type { ClientListener } from './client/listen-for-clients.ts'
import type { JudgedTunnels } from './live/judged-tunnels.ts'

interface Closable {
  readonly listener: ClientListener
  readonly connections: Connections
  readonly tunnels: JudgedTunnels['tunnels']
  /** Called once nothing is open. */
  release(): void
}

/**
 * How long a kept connection may still send a request at the start of a drain, in milliseconds. The answer says that the
 * connection closes (RFC 9112, section 9.6); one that is closed at once takes the request with it that is on its way.
 */
const LAST_REQUEST_MS = 1_000

/** The two ends of a port: the graceful one, and the one at once. */
export function shutdown(parts: Closable): Pick<Port, 'drain' | 'close'> {
  const { listener, connections, tunnels, release } = parts
  const closed = () => new Promise<void>((resolve) => listener.server.close(() => resolve()))

  async function close(): Promise<void> {
    const ended = closed()
    tunnels.endWhere(() => 'MESH_GATEWAY_DRAINING')
    connections.destroyAll()
    listener.destroyAll()
    release()
    await ended
  }

  return {
    async drain(graceMs) {
      const ended = closed()
      listener.closeWaiting()
      const idle = setTimeout(() => connections.closeIdle(), Math.min(LAST_REQUEST_MS, graceMs))
      const timer = setTimeout(() => void close(), graceMs)
      await ended
      clearTimeout(idle)
      clearTimeout(timer)
      await close()
    },
    close,
  }
}
