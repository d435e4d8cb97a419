/**
 * A socket with one reader at a time. Bytes that arrive without a reader are buffered, up to a bound at which the
 * socket is paused, so that none is lost between two stages of a request.
 */
import { connect, type Socket } from 'node:net'
import { TCP_KEEP_ALIVE } from '../../net/keep-alive.ts'
import type { ReadBuffers } from '../../process/node-internals/read-buffers.ts'
import {
  type ReadSink,
  reusedReads,
  reuseReadsOf,
} from '../../process/node-internals/reused-reads.ts'

export interface Reader {
  /**
   * The chunk is valid until this returns. A reader that keeps it, or has written it without it being flushed, calls
   * `keep`.
   */
  data(chunk: Buffer): void
  /** The other side will send no more. Called again for each new reader. */
  end(): void
}

const MAX_HELD_BYTES = 65_536
const LINGER_MS = 2_000
const STALLED_MS = 60_000
const FAREWELL_MS = 300_000
const SMALL_BYTES = 8192

/** Connects to an IP address. */
export function connectSocket(host: string, port: number, buffers: ReadBuffers): BufferedSocket {
  let buffered: BufferedSocket | null = null
  const onread = reusedReads(() => buffered, buffers)
  const socket = connect({
    host,
    port,
    allowHalfOpen: true,
    noDelay: true,
    onread,
    ...TCP_KEEP_ALIVE,
  })
  socket.on('close', onread.release)
  buffered = new BufferedSocket(socket)
  return buffered
}

/** Wraps a client socket that a server has just accepted, or that is paused behind its PROXY header. */
export function acceptSocket(socket: Socket, buffers: ReadBuffers): BufferedSocket {
  // only TCP sockets can be reset
  const buffered = new BufferedSocket(socket, socket.remoteAddress === undefined ? null : socket)
  // what came with the header: now held by `buffered`, which listens
  if (socket.readableLength > 0) socket.read()
  const reads = reusedReads(() => buffered, buffers)
  if (reuseReadsOf(socket, reads)) socket.on('close', reads.release)
  return buffered
}

export class BufferedSocket implements ReadSink {
  /** Below the buffer. */
  readonly raw: Socket
  /** The TCP socket, which can be reset; null for a Unix socket, or for TLS over another stream. */
  readonly #tcp: Socket | null
  #reader: Reader | null = null
  #held: Buffer[] = []
  #heldBytes = 0
  #ended = false
  /** The reader that was told of the end. */
  #told: Reader | null = null
  #closed = false
  #error: Error | null = null
  #kept = false
  #onClosed: (() => void) | null = null
  #onDrain: (() => void) | null = null

  /** @param tcp the TCP socket below; null without one. Default: the socket itself. */
  constructor(socket: Socket, tcp: Socket | null = socket) {
    this.raw = socket
    this.#tcp = tcp
    socket.on('data', (chunk: Buffer) => this.accept(chunk))
    socket.on('end', () => this.#onEnd())
    socket.on('drain', () => this.#onDrain?.())
    socket.on('error', (error) => {
      this.#error ??= error
    })
    socket.on('close', () => {
      this.#closed = true
      this.#onClosed?.()
    })
  }

  get closed(): boolean {
    return this.#closed || this.raw.destroyed
  }

  /** The other side has ended its half. */
  get ended(): boolean {
    return this.#ended
  }

  get error(): Error | null {
    return this.#error
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  /** Sets the reader; it gets the buffered bytes first, at once. */
  read(reader: Reader): void {
    this.#reader = reader
    this.#flush()
  }

  /** Removes the reader. */
  release(): void {
    this.#reader = null
  }

  /** Puts back bytes that are for the next reader. */
  unread(chunk: Buffer): void {
    if (chunk.length === 0) return
    this.keep()
    this.#held.unshift(chunk)
    this.#heldBytes += chunk.length
  }

  /** Called once the socket has closed; one listener at a time. */
  onClosed(listener: (() => void) | null): void {
    this.#onClosed = listener
  }

  /** Called when the written data is flushed, after `write` has returned false; one listener at a time. */
  onDrain(listener: (() => void) | null): void {
    this.#onDrain = listener
  }

  /** True while written data is not flushed. */
  get unsent(): boolean {
    return this.raw.writableLength > 0
  }

  /** True after `write` has returned false: `onDrain` follows. */
  get full(): boolean {
    return this.raw.writableNeedDrain
  }

  /** False when the other side is slower (back-pressure): stop until `onDrain`. */
  write(data: Buffer): boolean {
    return this.raw.write(data)
  }

  writeText(text: string): boolean {
    return this.raw.write(text, 'latin1')
  }

  /** Writes both as one piece if they are small: copying costs less than a second system call or a list of pieces. */
  writeTextWith(text: string, data: Buffer): boolean {
    if (data.length > SMALL_BYTES) {
      this.raw.cork()
      this.writeText(text)
      const flowing = this.write(data)
      this.raw.uncork()
      return flowing
    }
    const whole = Buffer.allocUnsafe(text.length + data.length)
    whole.write(text, 'latin1')
    data.copy(whole, text.length)
    return this.write(whole)
  }

  pause(): void {
    this.raw.pause()
  }

  resume(): void {
    if (this.raw.isPaused()) this.raw.resume()
  }

  destroy(): void {
    this.raw.destroy()
  }

  /** Resets the connection, so that the other side cannot mistake a part for the whole. */
  reset(): void {
    this.#reader = null
    this.#tcp?.resetAndDestroy()
    this.raw.destroy()
  }

  /**
   * Ends the sending and leaves the other side time to read: a reset could overtake the data while it still sends.
   * @param mostMs the maximum time for that, in milliseconds. Default 300,000
   */
  closeGently(mostMs: number = FAREWELL_MS): void {
    const { raw } = this
    if (this.closed) return
    this.read({ data() {}, end: () => raw.destroySoon() })
    let timer: NodeJS.Timeout | undefined
    // the linger time begins when all data is flushed: a slow reader gets all of it
    raw.end(() => {
      timer = setTimeout(() => raw.destroy(), LINGER_MS)
    })
    raw.setTimeout(STALLED_MS, () => raw.destroy())
    // the total bound: a peer that sends a byte now and then may never read
    const most = setTimeout(() => raw.destroy(), mostMs)
    this.onClosed(() => {
      clearTimeout(timer)
      clearTimeout(most)
    })
  }

  /** Keeps the buffer of the current chunk: the next read uses another one. */
  keep(): void {
    this.#kept = true
  }

  /** Whether the chunk was kept; the source calls it once per read. */
  takeKept(): boolean {
    const kept = this.#kept
    this.#kept = false
    return kept
  }

  /** Called by the source with the bytes that have arrived. */
  accept(chunk: Buffer): void {
    if (this.#reader !== null && this.#held.length === 0) {
      this.#reader.data(chunk)
      return
    }
    this.keep()
    this.#held.push(chunk)
    this.#heldBytes += chunk.length
    if (this.#heldBytes >= MAX_HELD_BYTES) this.raw.pause()
  }

  #onEnd(): void {
    this.#ended = true
    this.#tellEnd()
  }

  /** Once per reader: a reader that hands over while it gets buffered bytes comes back here after its successor. */
  #tellEnd(): void {
    const reader = this.#reader
    if (reader === null || reader === this.#told || this.#held.length > 0) return
    this.#told = reader
    reader.end()
  }

  #flush(): void {
    while (this.#reader !== null) {
      const chunk = this.#held.shift()
      if (chunk === undefined) break
      this.#heldBytes -= chunk.length
      this.#reader.data(chunk)
    }
    if (this.#reader === null) return
    this.resume()
    if (this.#ended) this.#tellEnd()
  }
}
