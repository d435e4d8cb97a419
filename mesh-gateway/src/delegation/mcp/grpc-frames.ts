/** Messages of gRPC in a stream of bytes: one byte of flags, four of length, the message. */

export interface MessageReader {
  /** Gives each message that is complete. Returns why the stream cannot be read; null when it can. */
  take(chunk: Buffer, give: (message: Buffer) => void): string | null
}

const HEAD_BYTES = 5

export function frameOf(message: Buffer): Buffer {
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

export function createMessageReader(maxBytes: number): MessageReader {
  let pieces: Buffer[] = []
  let held = 0
  let needed = HEAD_BYTES

  return {
    take(chunk, give) {
      pieces.push(chunk)
      held += chunk.length
      while (held >= needed) {
        const [first = chunk] = pieces
        const bytes = pieces.length === 1 ? first : Buffer.concat(pieces)
        const length = bytes.readUInt32BE(1)
        if (bytes[0] !== 0) return 'the answer is compressed'
        if (length > maxBytes) return `a message has ${length} bytes; ${maxBytes} are read`
        needed = HEAD_BYTES + length
        pieces = [bytes]
        if (held < needed) break
        give(bytes.subarray(HEAD_BYTES, needed))
        pieces = [bytes.subarray(needed)]
        held -= needed
        needed = HEAD_BYTES
      }
      return null
    },
  }
}
