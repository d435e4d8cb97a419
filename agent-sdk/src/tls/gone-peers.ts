/**
 * Ends TLS connections under HTTP/2 whose peer is gone. In Node 24 a write that fails, since the peer was killed, leaves
 * the connection in a state in which its next write never ends, and HTTP/2 reads nothing while it writes: nobody is told
 * that the connection is dead (docs/discoveries/a-failed-write-stops-a-connection.md).
 */
import type { TLSSocket } from 'node:tls'
import { propertyOf } from './property-of.ts'

export interface GonePeerWatch {
  /** To be called once TLS stands. The socket is destroyed with ECONNRESET when its peer is gone, and let go of when it closes. */
  watch(socket: TLSSocket): void
}

/** How often each connection is looked at, in milliseconds: one that is dead is ended after the second look. */
const EVERY_MS = 500

/** Keeps no process alive, and has no timer while it has no connection. */
export function createGonePeerWatch(): GonePeerWatch {
  /** Each with the bytes that waited to be written at the last look. */
  const open = new Map<TLSSocket, number>()
  let timer: NodeJS.Timeout | null = null
  const look = () => {
    for (const [socket, before] of open) {
      const waiting = bytesWaiting(socket)
      open.set(socket, waiting)
      if (waiting > 0 && waiting === before && isGone(socket))
        socket.destroy(Object.assign(new Error('the peer is gone'), { code: 'ECONNRESET' }))
    }
  }
  return {
    watch(socket) {
      if (socket.destroyed) return
      open.set(socket, 0)
      timer ??= setInterval(look, EVERY_MS).unref()
      socket.once('close', () => {
        open.delete(socket)
        if (open.size > 0 || timer === null) return
        clearInterval(timer)
        timer = null
      })
    },
  }
}

// Node has no public way to ask either of the two: `writableLength` does not count what HTTP/2 writes, and
// `remoteAddress` is remembered. Where the handle does not look as expected, the connection is left alone.

function bytesWaiting(socket: TLSSocket): number {
  const waiting = propertyOf(propertyOf(socket, '_handle'), 'writeQueueSize')
  return typeof waiting === 'number' ? waiting : 0
}

/** The kernel knows no other end of the connection any more. */
function isGone(socket: TLSSocket): boolean {
  const handle = propertyOf(socket, '_handle')
  const ask = propertyOf(handle, 'getpeername')
  if (typeof ask !== 'function') return false
  const failed: unknown = Reflect.apply(ask, handle, [{}])
  return typeof failed === 'number' && failed !== 0
}
