/**
 * Lets reads of a socket go into one buffer again and again. A new one for every read costs more than moving the bytes: it is
 * allocated, its pages are touched, and V8 collects all of its heap ever sooner for the memory that it takes.
 */
import type { Socket } from 'node:net'

/** Takes what was read. Chunks are good until it returns, unless it is told to keep them. */
export interface ReadSink {
  accept(chunk: Buffer): void
  /** Whether the chunk was kept; asked once after each read. */
  takeKept(): boolean
}

/** What `net.connect` takes as `onread`. */
export interface ReusedReads {
  buffer(): Buffer
  callback(size: number): boolean
}

/** Enough for a request; one that is filled to its end makes place for a larger one. */
const FIRST_BYTES = 16_384
const MOST_BYTES = 65_536
const GROWTH = 4

/** @param sink asked for with each read, since a socket is made before what reads it. */
export function reusedReads(sink: () => ReadSink | null): ReusedReads {
  let buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
  let size = FIRST_BYTES
  return {
    buffer() {
      const kept = sink()?.takeKept() === true
      if (kept || size > buffer.length) buffer = Buffer.allocUnsafeSlow(size)
      return buffer
    },
    callback(read) {
      if (read === buffer.length && read < MOST_BYTES) size = read * GROWTH
      sink()?.accept(buffer.subarray(0, read))
      return true
    },
  }
}

/**
 * The same for a socket that a server has accepted, for which Node has no option: what `onread` would have set is set here, before
 * the first read. False where the socket does not look exactly as in Node 24; it is left alone then, and reads as ever.
 * docs/discoveries/reading-into-one-buffer.md
 */
export function reuseReadsOf(socket: Socket, reads: ReusedReads): boolean {
  const handle: unknown = Reflect.get(socket, '_handle')
  const [buffer, callback, generator] = ['kBuffer', 'kBufferCb', 'kBufferGen'].map((name) =>
    unsetSymbol(socket, name),
  )
  if (buffer == null || callback == null || generator == null) return false
  if (typeof handle !== 'object' || handle === null) return false
  const use: unknown = Reflect.get(handle, 'useUserBuffer')
  if (typeof use !== 'function' || socket.bytesRead > 0 || socket.readableLength > 0) return false
  const first = reads.buffer()
  Reflect.set(socket, buffer, first)
  Reflect.set(socket, callback, reads.callback)
  Reflect.set(socket, generator, reads.buffer)
  Reflect.apply(use, handle, [first])
  return true
}

/** The one symbol of that name, if it holds null as it does on a socket without `onread`. */
function unsetSymbol(socket: Socket, name: string): symbol | null {
  const found = Object.getOwnPropertySymbols(socket).filter(
    ({ description }) => description === name,
  )
  const [symbol] = found
  return symbol !== undefined && found.length === 1 && Reflect.get(socket, symbol) === null
    ? symbol
    : null
}
