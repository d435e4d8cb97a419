import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import {
  createMessageReader,
  frameMessage,
} from '../../../../mesh-gateway/src/delegation/reflection/read-messages.ts'

const bytes = (...messages: string[]) =>
  Buffer.concat(messages.map((message) => frameMessage(Buffer.from(message))))

describe('messages read from the pieces of a stream', () => {
  it('are the same however the pieces are cut', () => {
    const whole = bytes('one', '', 'a longer one', 'x')
    for (let size = 1; size <= whole.length; size += 1) {
      const reader = createMessageReader(100)
      const read: string[] = []
      for (let at = 0; at < whole.length; at += size)
        read.push(...reader.push(whole.subarray(at, at + size)).map(String))
      reader.end()
      assert.deepEqual(read, ['one', '', 'a longer one', 'x'], `cut by ${size}`)
    }
  })

  it('are not copied when they came in one piece', () => {
    // memory of its own: a copy of a small buffer may lie beside it in the pool
    const piece = Buffer.from(Uint8Array.from(bytes('one', 'two')).buffer)
    for (const message of createMessageReader(100).push(piece))
      assert.equal(message.buffer, piece.buffer)
  })

  const refused = (act: () => void, code: string) =>
    assert.throws(act, (error) => error instanceof MeshError && error.code === code)

  it('are refused by their length, before anything is held', () => {
    const reader = createMessageReader(10)
    refused(() => reader.push(Buffer.from([0, 0xff, 0xff, 0xff, 0xff])), 'MESH_LIMIT_SIZE')
  })

  it('are refused when compressed, or cut off', () => {
    refused(() => createMessageReader(10).push(Buffer.from([1, 0, 0, 0, 0])), 'MESH_PEER_PROTOCOL')
    for (const end of [3, 6, 7]) {
      const reader = createMessageReader(10)
      reader.push(bytes('one').subarray(0, end))
      refused(() => reader.end(), 'MESH_PEER_PROTOCOL')
    }
  })
})
