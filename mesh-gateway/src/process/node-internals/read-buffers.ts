/**
 * Buffers that sockets read into, handed from those that have closed to those that come: a new one for each connection is as dear
 * as a new one for each read, since V8 takes the memory for pressure on its heap.
 */
export interface ReadBuffers {
  /** Enough for a request. What is in it, is left over from others: only what was read into it may be looked at. */
  take(): Buffer
  /** For a socket that fills the small one to its end. */
  large(): Buffer
  isSmall(buffer: Buffer): boolean
  /** Nobody else holds it any more. */
  give(buffer: Buffer): void
}

const SMALL_BYTES = 16_384
/** With 65,536 a megabyte through a tunnel costs a fifth more; larger ones gain little. */
const LARGE_BYTES = 131_072
/** 4 MiB of each in all; those beyond are collected. */
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
