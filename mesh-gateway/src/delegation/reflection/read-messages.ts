/**
 * Assembles gRPC messages from the pieces of a stream (gRPC over HTTP/2, "Length-Prefixed-Message"), up to a size
 * limit.
 */
import { MeshError } from '@clawmesh/proto'

export interface MessageReader {
  /** Returns the messages that this piece completes. @throws MeshError MESH_LIMIT_SIZE, MESH_PEER_PROTOCOL */
  push(piece: Buffer): Buffer[]
  /** @throws MeshError MESH_PEER_PROTOCOL when a message was cut off */
  end(): void
}

const HEAD_BYTES = 5

export function createMessageReader(maxBytes: number): MessageReader {
  let pieces: Buffer[] = []
  let held = 0

  /** Takes bytes from the front; to be called only when all of them are there. */
  function take(bytes: number): Buffer {
    const all = pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces)
    pieces = all.length > bytes ? [all.subarray(bytes)] : []
    held -= bytes
    return all.subarray(0, bytes)
  }

  let expected: number | null = null
  return {
    push(piece) {
      pieces.push(piece)
      held += piece.length
      const messages: Buffer[] = []
      for (;;) {
        if (expected === null) {
          if (held < HEAD_BYTES) return messages
          const head = take(HEAD_BYTES)
          if (head[0] !== 0)
            throw new MeshError(
              'MESH_PEER_PROTOCOL',
              'the peer compresses, though it was told not to',
            )
          expected = head.readUInt32BE(1)
          if (expected > maxBytes)
            throw new MeshError(
              'MESH_LIMIT_SIZE',
              `an answer of reflection may have ${maxBytes} bytes, this one has ${expected}`,
            )
        }
        if (held < expected) return messages
        messages.push(take(expected))
        expected = null
      }
    },
    end() {
      if (held > 0 || expected !== null)
        throw new MeshError('MESH_PEER_PROTOCOL', 'the peer ended in the middle of a message')
    },
  }
}

/** Frames a message for a stream, uncompressed. */
export function frameMessage(message: Buffer): Buffer {
  const framed = Buffer.allocUnsafe(HEAD_BYTES + message.length)
  framed[0] = 0
  framed.writeUInt32BE(message.length, 1)
  message.copy(framed, HEAD_BYTES)
  return framed
}
