import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import {
  acceptSocket,
  type BufferedSocket,
} from '../../../../mesh-gateway/src/egress/carry/buffered-socket.ts'
import { createReadBuffers } from '../../../../mesh-gateway/src/process/node-internals/read-buffers.ts'
import {
  reusedReads,
  reuseReadsOf,
} from '../../../../mesh-gateway/src/process/node-internals/reused-reads.ts'
import { needNodePatches } from '../need-node-patches.ts'

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

  it('are made by a socket that a server has accepted, in this Node', async function () {
    needNodePatches(this)
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
        reusedReads(() => sink, createReadBuffers()),
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

  it('are made by a socket that has read and is paused, of what comes from then on', async function () {
    needNodePatches(this)
    onAccepted = () => {}
    const { client, accepted } = await pair()
    client.write('first')
    assert.equal(String((await once(accepted, 'data'))[0]), 'first')
    accepted.pause()
    accepted.unshift(Buffer.from('again '))
    const buffered = acceptSocket(accepted, createReadBuffers())
    const buffers = new Set<ArrayBufferLike>()
    let received = ''
    const { promise: ended, resolve } = Promise.withResolvers<void>()
    buffered.read({
      data(chunk) {
        if (received !== '') buffers.add(chunk.buffer)
        received += chunk.toString('latin1')
      },
      end: resolve,
    })
    for (const word of ['one ', 'two ', 'three ']) {
      client.write(word)
      const before = received.length
      while (received.length === before) await new Promise(setImmediate)
    }
    client.end()
    await ended
    assert.equal(received, 'again one two three ')
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
        reusedReads(() => sink, createReadBuffers()),
      ),
      false,
    )
    client.write('second')
    const [chunk] = await once(accepted, 'data')
    assert.equal(String(chunk), 'second')
  })

  it('never overwrite what was kept, whatever comes after it', async () => {
    let buffered: BufferedSocket | null = null
    onAccepted = (socket) => {
      buffered = acceptSocket(socket, createReadBuffers())
    }
    const { client } = await pair()
    const kept: Buffer[] = []
    const { promise: ended, resolve } = Promise.withResolvers<void>()
    const reader: BufferedSocket = buffered ?? assert.fail('nothing was accepted')
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

  it('hold no more memory for what was kept than it has bytes, if it comes byte by byte', async function () {
    needNodePatches(this)
    const buffers = createReadBuffers()
    let buffered: BufferedSocket | null = null
    onAccepted = (socket) => {
      buffered = acceptSocket(socket, buffers)
    }
    const { client, accepted } = await pair()
    client.setNoDelay(true)
    const kept: Buffer[] = []
    const reader: BufferedSocket = buffered ?? assert.fail('nothing was accepted')
    reader.read({
      data(chunk) {
        kept.push(chunk)
        reader.keep()
      },
      end() {},
    })
    const sent = Buffer.alloc(20_000)
    for (let at = 0; at < sent.length; at += 4) sent.writeUInt32BE(at, at)
    for (let at = 0; at < sent.length; at += 5) {
      client.write(sent.subarray(at, at + 5))
      while (accepted.bytesRead < at + 5) await new Promise(setImmediate)
    }
    assert.ok(kept.length > 3_000, 'they came one by one')
    assert.ok(Buffer.concat(kept).equals(sent))
    const memory = new Set(kept.map(({ buffer }) => buffer))
    assert.ok(memory.size <= 3, `${memory.size} buffers of 16 KiB for 20 KB`)
    const closed = once(accepted, 'close')
    accepted.destroy()
    await closed
    assert.ok(!memory.has(buffers.take().buffer), 'what was kept is nobody else to read into')
  })

  it('go on with the buffer of a socket that has closed, unless something in it was kept', () => {
    const buffers = createReadBuffers()
    let kept = false
    const sink = {
      accept: () => {},
      takeKept() {
        const was = kept
        kept = false
        return was
      },
    }
    const first = reusedReads(() => sink, buffers)
    const buffer = first.buffer()
    first.callback(10)
    first.release()
    const second = reusedReads(() => sink, buffers)
    assert.equal(second.buffer(), buffer)
    second.callback(10)
    kept = true
    second.release()
    second.release()
    const third = reusedReads(() => sink, buffers).buffer()
    assert.notEqual(third, buffer)
    const fourth = reusedReads(() => sink, buffers).buffer()
    assert.notEqual(fourth, third, 'one buffer for two sockets')
  })

  it('take a larger buffer while much comes, and hand it on as soon as little does', () => {
    const buffers = createReadBuffers()
    const sink = { accept: () => {}, takeKept: () => false }
    const reads = reusedReads(() => sink, buffers)
    const small = reads.buffer()
    reads.callback(small.length)
    const large = reads.buffer()
    assert.ok(large.length > small.length)
    reads.callback(large.length)
    assert.equal(reads.buffer(), large, 'there is none larger')
    reads.callback(100)
    assert.equal(reads.buffer().length, small.length)
    assert.equal(buffers.large(), large)
  })

  it('go on in a whole buffer behind much that was kept: reads into the rest would be small', () => {
    const buffers = createReadBuffers()
    let kept = false
    const sink = { accept: () => {}, takeKept: () => kept }
    const reads = reusedReads(() => sink, buffers)
    const whole = reads.buffer()
    reads.callback(whole.length / 2)
    kept = true
    assert.equal(reads.buffer().length, whole.length)
  })

  it('keep only so many buffers for those who may come', () => {
    const buffers = createReadBuffers()
    const many = Array.from({ length: 1000 }, () => buffers.take())
    for (const one of many) buffers.give(one)
    const again = new Set(Array.from({ length: 1000 }, () => buffers.take()))
    assert.equal(many.filter((one) => again.has(one)).length, 256)
  })
})
