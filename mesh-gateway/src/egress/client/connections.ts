/** The client connections of the port. */
import { createDenseSet, type Member } from '../../live/dense-set.ts'
import {
  type ClientConnection,
  type ConnectionContext,
  serveConnection,
} from './client-connection.ts'
import type { ClientSocket } from './listen-for-clients.ts'

export interface Connections {
  /** Serves a connection that was accepted. */
  serve(client: ClientSocket): void
  closeIdle(): void
  destroyAll(): void
}

export function createConnections(context: ConnectionContext): Connections {
  const connections = createDenseSet<Member & { readonly connection: ClientConnection }>()
  return {
    serve(client) {
      // its handshake ended after the start of the drain
      if (context.draining()) {
        client.socket.destroy()
        return
      }
      const entry = { connection: serveConnection(client, context), index: -1 }
      connections.add(entry)
      client.socket.raw.on('close', () => connections.remove(entry))
    },
    closeIdle() {
      connections.visit(({ connection }) => {
        if (connection.idle) connection.closeIdle()
      })
    },
    destroyAll() {
      connections.visit(({ connection }) => connection.destroy())
    },
  }
}
