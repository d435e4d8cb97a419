/** A call and its reset in one packet: grpc-js answers a stream that is gone, and the process must not end by it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { duplexPair } from 'node:stream'
import { surviveLostStreams } from '@clawmesh/agent-sdk/calls'
import { Server, ServerCredentials } from '@grpc/grpc-js'

function field(name: string, value: string): Buffer {
  const text = (part: string) => Buffer.from([part.length, ...Buffer.from(part)])
  return Buffer.concat([Buffer.from([0]), text(name), text(value)])
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

describe('a server of grpc-js', () => {
  for (const [what, type] of [
    ['an unknown method', 'application/grpc'],
    ['another content type', 'text/plain'],
  ] as const)
    it(`survives a call of ${what} that was reset before it could be answered`, async () => {
      const server = new Server({ 'grpc.enable_channelz': 0 })
      surviveLostStreams(server)
      const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
      const [near, far] = duplexPair()
      injector.injectConnection(far)
      const block = Buffer.concat([
        ...[field(':method', 'POST'), field(':scheme', 'http'), field(':path', '/a.B/Nope')],
        ...[field(':authority', 'x'), field('content-type', type)],
      ])
      const calls = Array.from({ length: 20 }, (_, i) => [
        frame(1, 4, 1 + 2 * i, block),
        frame(3, 0, 1 + 2 * i, Buffer.from([0, 0, 0, 8])),
      ])
      const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
      const ping = frame(6, 0, 0, Buffer.alloc(8))
      let got = Buffer.alloc(0)
      // the answer to the ping comes after all of them have been looked at
      near.on('data', (data: Buffer) => {
        got = Buffer.concat([got, data])
        if (got.includes(frame(6, 1, 0, Buffer.alloc(8)))) near.emit('pong')
      })
      const pong = once(near, 'pong')
      near.write(Buffer.concat([preface, frame(4, 0, 0, Buffer.alloc(0)), ...calls.flat(), ping]))
      await pong
      await new Promise((resolve) => setImmediate(resolve))
      assert.equal(far.destroyed, false)
      injector.destroy()
      server.forceShutdown()
    })
})
