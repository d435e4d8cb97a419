/**
 * Lets reads of a socket go into one buffer again and again. A new one for every read costs more than moving the bytes: it is
 * allocated, its pages are touched, and V8 collects all of its heap ever sooner for the memory that it takes.
 */
import type { Socket } from 'node:net'
import type { ReadBuffers } from './read-buffers.ts'

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
  /** The socket has closed: the buffer may serve another. */
  release(): void
}

/** What is left of a buffer is read into, down to so much. */
const LEAST_ROOM_BYTES = 4096
/** A read of less than that ends a burst. */
const LITTLE_BYTES = 4096
/** What fills such a part of it may hold the whole: reads into the rest would be small, and many. */
const WORTH_KEEPING = 4

/** @param sink asked for with each read, since a socket is made before what reads it. */
export function reusedReads(sink: () => ReadSink | null, buffers: ReadBuffers): ReusedReads {
  let whole: Buffer | null = null
  /** What is behind that which was kept. */
  let room: Buffer | null = null
  /** Bytes of the last read. */
  let last = 0
  let full = false
  const giveBack = (kept: boolean) => {
    if (whole !== null && room === whole && !kept) buffers.give(whole)
  }
  return {
    buffer() {
      const kept = sink()?.takeKept() === true
      if (room !== null && whole !== null && !full) {
        // a burst is over: nobody is to lie idle with a large one
        const over = !buffers.isSmall(whole) && last < LITTLE_BYTES
        if (!kept && !over) return room
        // a byte that was kept must not hold the whole of a buffer: who sends them one by one would have a buffer for each
        const much = last * WORTH_KEEPING >= room.length
        if (kept && !much && room.length - last >= LEAST_ROOM_BYTES) {
          room = room.subarray(last)
          return room
        }
      }
      giveBack(kept)
      whole = full ? buffers.large() : buffers.take()
      room = whole
      full = false
      return room
    },
    callback(read) {
      if (whole === null || room === null) return true
      last = read
      // nor is what is left of a large one read into for ever
      full = read === room.length && (room !== whole || buffers.isSmall(whole))
      sink()?.accept(room.subarray(0, read))
      return true
    },
    release() {
      giveBack(sink()?.takeKept() !== false)
      whole = null
      room = null
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
  const [buffer, callback, generator] = unsetSymbols(socket, ['kBuffer', 'kBufferCb', 'kBufferGen'])
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

/** Each the one symbol of its name, if it holds null as it does on a socket without `onread`. */
function unsetSymbols(socket: Socket, names: readonly string[]): (symbol | null)[] {
  const found: (symbol | null)[] = names.map(() => null)
  const seen = new Set<number>()
  for (const symbol of Object.getOwnPropertySymbols(socket)) {
    const at = names.indexOf(symbol.description ?? '')
    if (at === -1) continue
    found[at] = !seen.has(at) && Reflect.get(socket, symbol) === null ? symbol : null
    seen.add(at)
  }
  return found
}
