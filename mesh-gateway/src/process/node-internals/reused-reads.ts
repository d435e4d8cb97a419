/**
 * Makes a socket read into one buffer again and again. A new buffer per read costs more than moving the bytes: it is
 * allocated, its pages are touched, and V8 runs full collections more often for its memory.
 */
import type { Socket } from 'node:net'
import type { ReadBuffers } from './read-buffers.ts'
import { patchesNode } from './switch.ts'

/** Takes the read bytes. A chunk is valid until `accept` returns, unless it is kept. */
export interface ReadSink {
  accept(chunk: Buffer): void
  /** Whether the chunk was kept; called once after each read. */
  takeKept(): boolean
}

/** The `onread` option of `net.connect`. */
export interface ReusedReads {
  buffer(): Buffer
  callback(size: number): boolean
  /** To be called when the socket has closed: another socket may use the buffer. */
  release(): void
}

/** The rest of a buffer is read into while it has at least this many bytes. */
const LEAST_ROOM_BYTES = 4096
/** A smaller read ends a burst. */
const LITTLE_BYTES = 4096
/**
 * A chunk that fills at least this part of a buffer may keep all of it: reads into the rest would be small, and many.
 */
const WORTH_KEEPING = 4

/** @param sink called at each read, since a socket exists before its reader */
export function reusedReads(sink: () => ReadSink | null, buffers: ReadBuffers): ReusedReads {
  let whole: Buffer | null = null
  /** The part of the buffer after the kept chunk. */
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
        // the burst is over: an idle socket must not hold a large buffer
        const over = !buffers.isSmall(whole) && last < LITTLE_BYTES
        if (!kept && !over) return room
        // a small kept chunk must not hold a whole buffer: a client that sends single bytes would take a buffer for
        // each
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
      // the rest of a large buffer must not be used for ever either
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
 * The same for a socket that a server has accepted, for which Node has no option: sets before the first read what
 * `onread` would have set. False when the socket does not look exactly as in Node 24; it is then left alone, and reads
 * as usual. docs/discoveries/reading-into-one-buffer.md
 */
export function reuseReadsOf(socket: Socket, reads: ReusedReads): boolean {
  if (!patchesNode()) return false
  const handle: unknown = Reflect.get(socket, '_handle')
  const [buffer, callback, generator] = unsetSymbols(socket, ['kBuffer', 'kBufferCb', 'kBufferGen'])
  if (buffer == null || callback == null || generator == null) return false
  if (typeof handle !== 'object' || handle === null) return false
  const use: unknown = Reflect.get(handle, 'useUserBuffer')
  // a paused socket has stopped between two reads, another one may be within one
  const mayHaveRead = socket.isPaused() || socket.bytesRead === 0
  if (typeof use !== 'function' || !mayHaveRead || socket.readableLength > 0) return false
  const first = reads.buffer()
  Reflect.set(socket, buffer, first)
  Reflect.set(socket, callback, reads.callback)
  Reflect.set(socket, generator, reads.buffer)
  Reflect.apply(use, handle, [first])
  return true
}

/** The symbols of these names, each only if it is unique and holds null, as on a socket without `onread`. */
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
