/** Which connections a port takes, and which it closes for them. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import {
  createConnectionGate,
  gateConnections,
} from '../../../mesh-gateway/src/limits/connection-gate.ts'
import { listenOnFreePort } from '../../support/http-origin.ts'

describe('a gate of connections', () => {
  it('closes none for one that comes too fast to be let in', async () => {
    const reasons: string[] = []
    const gate = createConnectionGate({
      limits: {
        ...{ maxConnections: 100, maxUnauthenticated: 100, maxUnauthenticatedPerAddress: 100 },
        ...{ maxConnectionsPerAddress: 2, newConnectionsPerSecond: 1, minEvictionAgeMs: 0 },
        authenticateMs: null,
      },
      refused: (reason) => void reasons.push(reason),
      now: () => 0,
    })
    const server = createServer((socket) => socket.on('error', () => {}).write('in'))
    gateConnections(server, gate)
    const clients: Socket[] = []
    const dial = () => {
      const client = connect(port, '127.0.0.1').on('error', () => {})
      clients.push(client)
      return client
    }
    const port = await listenOnFreePort(server)
    try {
      const first = dial()
      await once(first, 'data')
      await once(dial(), 'data')
      await new Promise((resolve) => dial().once('close', resolve))
      assert.deepEqual(reasons, ['connection-rate'])
      assert.equal(first.closed, false)
    } finally {
      for (const client of clients) client.destroy()
      server.close()
      gate.closeAll()
    }
  })
})
