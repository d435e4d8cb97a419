/**
 * Finds the end of a body in a stream of bytes and passes its payload on as it arrives. Chunked framing is removed here
 * and written anew, so that no two hops can disagree about it.
 */
import {
  type BlanksBeforeColon,
  type Field,
  MalformedMessage,
  readFields,
  readLines,
} from './head.ts'
import type { BodyFraming } from './response-head.ts'

export interface BodyDecoder {
  /** Consumes the bytes of the body and returns their number. @throws MalformedMessage */
  push(chunk: Buffer): number
  readonly done: boolean
  /** Bytes of chunk extensions and trailers so far; a client can send them without end. */
  readonly extraBytes: number
  /** Fields after a chunked body; empty until it is done. */
  readonly trailers: readonly Field[]
}

const MAX_LINE = 256
/** The maximum overhead beyond twice the payload: in chunks of one byte, five bytes are framing. */
const MAX_EXCESS = 16_384
/** The part of each chunk's framing that is not counted: `1000000\r\n` and `\r\n`, and an extension of one word. */
const FREE_FRAMING = 16
/** Smaller pieces of one read are passed on together: a write for each byte would take all the CPU time. */
const SMALL_PIECE = 1024
const TRAILER_LIMITS = Object.freeze({ maxBytes: 8192, maxFields: 32 })
/** A size, then extensions, which are dropped: only request smuggling uses them. */
const CHUNK_LINE = /^([0-9A-Fa-f]{1,12})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/

/**
 * @param sink gets each piece of payload; the pieces are views and may be kept.
 * @param blanksBeforeColon of trailers, as in the head that they belong to. Default `refuse`
 */
export function createBodyDecoder(
  framing: BodyFraming,
  sink: (data: Buffer) => void,
  blanksBeforeColon: BlanksBeforeColon = 'refuse',
): BodyDecoder {
  if (framing === 'chunked') return new ChunkedDecoder(sink, blanksBeforeColon)
  return new CountedDecoder(framing === 'until-close' ? Number.POSITIVE_INFINITY : framing, sink)
}

class CountedDecoder implements BodyDecoder {
  #left: number
  readonly #sink: (data: Buffer) => void
  readonly extraBytes = 0
  readonly trailers: readonly Field[] = []

  constructor(length: number, sink: (data: Buffer) => void) {
    this.#left = length
    this.#sink = sink
  }

  get done(): boolean {
    return this.#left === 0
  }

  push(chunk: Buffer): number {
    const taken = Math.min(chunk.length, this.#left)
    this.#left -= taken
    if (taken > 0) this.#sink(taken === chunk.length ? chunk : chunk.subarray(0, taken))
    return taken
  }
}

class ChunkedDecoder implements BodyDecoder {
  readonly #sink: (data: Buffer) => void
  readonly #blanksBeforeColon: BlanksBeforeColon
  #state: 'size' | 'data' | 'data-end' | 'trailers' | 'done' = 'size'
  #left = 0
  #line = ''
  #trailerLines: string[] = []
  #trailerBytes = 0
  #small: Buffer[] = []
  #excess = 0
  extraBytes = 0
  trailers: readonly Field[] = []

  constructor(sink: (data: Buffer) => void, blanksBeforeColon: BlanksBeforeColon) {
    this.#sink = sink
    this.#blanksBeforeColon = blanksBeforeColon
  }

  get done(): boolean {
    return this.#state === 'done'
  }

  push(chunk: Buffer): number {
    let at = 0
    while (at < chunk.length && this.#state !== 'done') {
      if (this.#state === 'data') {
        const piece = chunk.subarray(at, at + this.#left)
        at += piece.length
        this.#left -= piece.length
        if (this.#left === 0) this.#state = 'data-end'
        if (piece.length < SMALL_PIECE) {
          this.#small.push(piece)
          continue
        }
        this.#handOn()
        this.#sink(piece)
        continue
      }
      at = this.#takeLine(chunk, at)
    }
    this.#handOn()
    return at
  }

  #handOn(): void {
    const pieces = this.#small
    const [first] = pieces
    if (first === undefined) return
    this.#small = []
    this.#sink(pieces.length === 1 ? first : Buffer.concat(pieces))
  }

  #takeLine(chunk: Buffer, from: number): number {
    const newline = chunk.indexOf(10, from)
    const to = newline === -1 ? chunk.length : newline + 1
    const limit = this.#state === 'trailers' ? TRAILER_LIMITS.maxBytes : MAX_LINE
    if (this.#line.length + to - from > limit)
      throw new MalformedMessage('a line of the chunked body is too long')
    this.#line += chunk.toString('latin1', from, to)
    if (newline === -1) return to
    if (!this.#line.endsWith('\r\n'))
      throw new MalformedMessage('a line of the chunked body ends without CR')
    const line = this.#line.slice(0, -2)
    this.#line = ''
    this.#onLine(line)
    return to
  }

  #onLine(line: string): void {
    if (this.#state === 'data-end') {
      if (line !== '') throw new MalformedMessage('a chunk is longer than its size')
      this.#state = 'size'
      return
    }
    if (this.#state === 'size') {
      const digits = CHUNK_LINE.exec(line)?.[1]
      if (digits === undefined) throw new MalformedMessage('the size of a chunk is malformed')
      this.#left = Number.parseInt(digits, 16)
      this.extraBytes += line.length - digits.length
      this.#excess = Math.max(0, this.#excess + line.length - FREE_FRAMING - 2 * this.#left)
      if (this.#excess > MAX_EXCESS)
        throw new MalformedMessage('the chunk extensions are larger than what they stand beside')
      this.#state = this.#left === 0 ? 'trailers' : 'data'
      return
    }
    if (line === '') {
      const text = `\r\n${this.#trailerLines.join('\r\n')}\r\n\r\n`
      const lines = this.#trailerLines.length === 0 ? [] : readLines(Buffer.from(text, 'latin1'))
      this.trailers = readFields(lines, TRAILER_LIMITS, 1, this.#blanksBeforeColon)
      this.#state = 'done'
      return
    }
    this.#trailerBytes += line.length + 2
    this.extraBytes += line.length + 2
    if (this.#trailerBytes > TRAILER_LIMITS.maxBytes)
      throw new MalformedMessage('the trailers are too large')
    this.#trailerLines.push(line)
  }
}
