import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { reusedReads, reuseReadsOf } from '../../../mesh-gateway/src/egress/reused-reads.ts'
import { acceptWire, type Wire } from '../../../mesh-gateway/src/egress/wire.ts'

describe('reads into one buffer', () => {
  const cleanup: (() => void)[] = []
  afterEach(() => {
    for (const undo of cleanup.splice(0)) undo()
  })

  async function pair(): Promise<{ accepted: Socket; client: Socket }> {
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    assert.ok(address !== null && typeof address === 'object')
    const client = connect(address.port, '127.0.0.1')
    // in the event itself, before anything can have been read
    const { promise, resolve } = Promise.withResolvers<Socket>()
    server.once('connection', (socket) => {
      onAccepted(socket)
      resolve(socket)
    })
    const accepted = await promise
    cleanup.push(
      () => client.destroy(),
      () => accepted.destroy(),
      () => void server.close(),
    )
    return { accepted, client }
  }
  let onAccepted: (socket: Socket) => void = () => {}

  it('are made by a socket that a server has accepted, in this Node', async () => {
    const buffers = new Set<ArrayBufferLike>()
    let result = false
    let received = ''
    onAccepted = (socket) => {
      const sink = {
        accept(chunk: Buffer) {
          buffers.add(chunk.buffer)
          received += chunk.toString('latin1')
        },
        takeKept: () => false,
      }
      result = reuseReadsOf(
        socket,
        reusedReads(() => sink),
      )
      socket.resume()
    }
    const { client, accepted } = await pair()
    assert.ok(result, 'this Node keeps its sockets in another way: see reused-reads.ts')
    for (const word of ['one ', 'two ', 'three ']) {
      client.write(word)
      const before = received.length
      while (received.length === before) await new Promise(setImmediate)
    }
    client.end()
    await once(accepted, 'end')
    assert.equal(received, 'one two three ')
    assert.equal(buffers.size, 1)
  })

  it('leave a socket alone that has read already, and read it as ever', async () => {
    onAccepted = () => {}
    const { client, accepted } = await pair()
    client.write('first')
    await once(accepted, 'data')
    const sink = { accept: () => assert.fail('it was left alone'), takeKept: () => false }
    assert.equal(
      reuseReadsOf(
        accepted,
        reusedReads(() => sink),
      ),
      false,
    )
    client.write('second')
    const [chunk] = await once(accepted, 'data')
    assert.equal(String(chunk), 'second')
  })

  it('never overwrite what was kept, whatever comes after it', async () => {
    let wire: Wire | null = null
    onAccepted = (socket) => {
      wire = acceptWire(socket)
    }
    const { client } = await pair()
    const kept: Buffer[] = []
    const { promise: ended, resolve } = Promise.withResolvers<void>()
    const reader: Wire = wire ?? assert.fail('nothing was accepted')
    reader.read({
      data(chunk) {
        kept.push(chunk)
        reader.keep()
      },
      end: resolve,
    })
    const sent = Buffer.alloc(3_000_000)
    for (let at = 0; at < sent.length; at += 4) sent.writeUInt32BE(at, at)
    client.end(sent)
    await ended
    assert.ok(Buffer.concat(kept).equals(sent))
    assert.ok(
      kept.some(({ length }) => length > 16_384),
      'a buffer that was filled made place for a larger one',
    )
  })
})
