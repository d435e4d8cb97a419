/** A supervisor and two workers with room for two clients each; tells the port to who started it. */
import cluster from 'node:cluster'
import { createClientListener } from '../../../mesh-gateway/src/egress/client/listen-for-clients.ts'
import { createConnectionGate } from '../../../mesh-gateway/src/limits/connection-gate.ts'
import { createReadBuffers } from '../../../mesh-gateway/src/process/node-internals/read-buffers.ts'

if (cluster.isPrimary) {
  cluster.schedulingPolicy = cluster.SCHED_RR
  let listening = 0
  cluster.on('listening', (_, { port }) => {
    listening += 1
    if (listening === 2) process.send?.(port)
  })
  cluster.fork()
  cluster.fork()
  process.once('disconnect', () => {
    for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGKILL')
  })
} else {
  const gate = createConnectionGate({
    limits: {
      maxConnections: 2,
      maxConnectionsPerAddress: 100,
      maxUnauthenticated: 100,
      maxUnauthenticatedPerAddress: 100,
      newConnectionsPerSecond: 1_000,
      authenticateMs: null,
      minEvictionAgeMs: 0,
    },
    refused: () => {},
  })
  const { server } = createClientListener({
    certificate: null,
    ticketKeys: null,
    buffers: createReadBuffers(),
    handshakeMs: 60_000,
    proxiesFrom: [],
    gate,
    refused: () => {},
    onClient({ socket, client }) {
      // none of them may be closed to make room
      client.setAuthenticated(true)
      socket.raw.write('in')
    },
  })
  server.listen(0, '127.0.0.1')
}
