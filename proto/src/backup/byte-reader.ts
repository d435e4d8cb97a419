/** Reads exact numbers of bytes from a stream that arrives in pieces of any size. */

export interface ByteReader {
  /** The next `count` bytes; fewer at the end of the stream. */
  take(count: number): Promise<Buffer>
  /** The next line without its line feed; null when there is none within `maxBytes`. */
  line(maxBytes: number): Promise<string | null>
  /** Releases the stream. */
  close(): Promise<void>
}

export function createByteReader(source: AsyncIterable<Uint8Array>): ByteReader {
  const iterator = source[Symbol.asyncIterator]()
  let held: Uint8Array[] = []
  let heldBytes = 0
  let ended = false

  async function fill(count: number): Promise<void> {
    while (heldBytes < count && !ended) {
      const next = await iterator.next()
      if (next.done === true) ended = true
      else if (next.value.length > 0) {
        held.push(next.value)
        heldBytes += next.value.length
      }
    }
  }

  function remove(count: number): Buffer {
    const parts: Uint8Array[] = []
    let missing = Math.min(count, heldBytes)
    heldBytes -= missing
    while (missing > 0) {
      const [first = new Uint8Array()] = held
      if (first.length > missing) {
        parts.push(first.subarray(0, missing))
        held[0] = first.subarray(missing)
        missing = 0
      } else {
        parts.push(first)
        held = held.slice(1)
        missing -= first.length
      }
    }
    return Buffer.concat(parts)
  }

  return {
    async take(count) {
      await fill(count)
      return remove(count)
    },
    async line(maxBytes) {
      const bytes: number[] = []
      while (bytes.length <= maxBytes) {
        await fill(1)
        const [byte] = remove(1)
        if (byte === undefined) return null
        if (byte === 10) return Buffer.from(bytes).toString('latin1')
        bytes.push(byte)
      }
      return null
    },
    async close() {
      ended = true
      await iterator.return?.()
    },
  }
}
