/** Messages of gRPC in chunks of any size. */
import assert from 'node:assert/strict'
import {
  createMessageReader,
  frameOf,
} from '../../../../mesh-gateway/src/delegation/mcp/grpc-frames.ts'

describe('a reader of gRPC messages', () => {
  const messages = ['', 'one', 'a longer message', '4'.repeat(300)]
  const stream = Buffer.concat(messages.map((text) => frameOf(Buffer.from(text))))

  it('gives each message once, however the bytes are cut', () => {
    for (let size = 1; size <= stream.length; size += 1) {
      const got: string[] = []
      const reader = createMessageReader(1_000)
      for (let at = 0; at < stream.length; at += size)
        assert.equal(
          reader.take(stream.subarray(at, at + size), (one) => got.push(one.toString())),
          null,
        )
      assert.deepEqual(got, messages)
    }
  })

  it('refuses a message that is compressed or too long, before it has come', () => {
    const none = () => assert.fail('a message was given')
    const reader = createMessageReader(10)
    assert.match(reader.take(Buffer.from([0, 0, 0, 0, 11]), none) ?? '', /11 bytes; 10/)
    const compressed = createMessageReader(10).take(Buffer.from([1, 0, 0, 0, 1, 7]), none)
    assert.match(compressed ?? '', /compressed/)
  })
})
