import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import {
  acceptSocket,
  type BufferedSocket,
} from '../../../mesh-gateway/src/egress/carry/buffered-socket.ts'
import { createReadBuffers } from '../../../mesh-gateway/src/process/node-internals/read-buffers.ts'

describe('a connection that is closed gently', () => {
  it('ends, though its client reads nothing of what was said and sends a byte now and then', async () => {
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    assert.ok(address !== null && typeof address === 'object')
    const client = connect(address.port, '127.0.0.1')
    client.on('error', () => {})
    const accepted = Promise.withResolvers<BufferedSocket>()
    server.once('connection', (socket: Socket) =>
      accepted.resolve(acceptSocket(socket, createReadBuffers())),
    )
    const socket = await accepted.promise
    client.pause()
    // more than the kernel takes
    socket.write(Buffer.alloc(32 * 1024 * 1024))
    const drip = setInterval(() => client.write('x'), 20)
    try {
      const closed = once(socket.raw, 'close', { signal: AbortSignal.timeout(15_000) })
      socket.closeGently(300)
      await closed
      assert.ok(client.bytesRead < 32 * 1024 * 1024, 'it was read after all')
    } finally {
      clearInterval(drip)
      client.destroy()
      socket.destroy()
      server.close()
      await once(server, 'close')
    }
  })
})
