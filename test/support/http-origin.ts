/** A small HTTP server as a destination: where it listens, and its end. */
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import type { Server as TcpServer } from 'node:net'

/** Of 127.0.0.1. */
export async function listenOnFreePort(server: TcpServer): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('it has no port')
  return bound.port
}

export async function closeServer(server: Server | TlsServer): Promise<void> {
  if (!server.listening) return
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}
