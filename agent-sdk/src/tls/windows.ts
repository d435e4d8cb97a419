/**
 * Flow-control windows of HTTP/2 (RFC 9113, section 5.2): how much may be under way before the reader has said that it read. A path carries
 * one window in each round trip, so a window must hold what is under way on a long fat path: 4 MiB are 40 MB a second over 100 ms.
 */
import type { Server } from '@grpc/grpc-js'

/** Of one stream. */
export const WINDOW_BYTES = 4 * 1024 * 1024

/**
 * Widens the windows of a grpc-js server, which has no option for them. To be called before it listens or takes connections.
 * @throws Error when grpc-js keeps its settings elsewhere: then this file has to be looked at again
 */
export function widenWindows(server: Server): void {
  const common: unknown = Reflect.get(server, 'commonServerOptions')
  if (typeof common !== 'object' || common === null)
    throw new Error('grpc-js has no commonServerOptions')
  const settings: unknown = Reflect.get(common, 'settings')
  const given = typeof settings === 'object' && settings !== null ? settings : {}
  Reflect.set(common, 'settings', { ...given, initialWindowSize: WINDOW_BYTES })
}

/** The window of whole connections of a grpc-js server; to be called once it has its HTTP/2 server. @throws Error as `widenWindows` does */
export function widenConnections(server: Server): void {
  const servers: unknown = Reflect.get(server, 'http2Servers')
  if (!(servers instanceof Map)) throw new Error('grpc-js has no http2Servers')
  for (const http2Server of servers.keys())
    http2Server.on('session', (session: { setLocalWindowSize(bytes: number): void }) =>
      session.setLocalWindowSize(WINDOW_BYTES),
    )
}
