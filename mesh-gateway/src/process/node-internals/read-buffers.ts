/**
 * A pool of read buffers, passed from closed sockets to new ones: a new buffer per connection costs as much as one per
 * read, since V8 counts the memory as pressure on its heap.
 */
export interface ReadBuffers {
  /** A buffer for a request. It contains bytes of other connections: only freshly read bytes may be used. */
  take(): Buffer
  /** For a socket that fills the small one completely. */
  large(): Buffer
  isSmall(buffer: Buffer): boolean
  /** Returns a buffer that is no longer used. */
  give(buffer: Buffer): void
}

const SMALL_BYTES = 16_384
/** With 65,536 a megabyte through a tunnel costs a fifth more; larger ones gain little. */
const LARGE_BYTES = 131_072
/** 4 MiB of each in all; further ones are garbage-collected. */
const MAX_SPARE = 256
const MAX_SPARE_LARGE = 32

export function createReadBuffers(): ReadBuffers {
  const small: Buffer[] = []
  const large: Buffer[] = []
  return {
    take: () => small.pop() ?? Buffer.allocUnsafeSlow(SMALL_BYTES),
    large: () => large.pop() ?? Buffer.allocUnsafeSlow(LARGE_BYTES),
    isSmall: (buffer) => buffer.length === SMALL_BYTES,
    give(buffer) {
      if (buffer.length === SMALL_BYTES && small.length < MAX_SPARE) small.push(buffer)
      if (buffer.length === LARGE_BYTES && large.length < MAX_SPARE_LARGE) large.push(buffer)
    },
  }
}
