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
const CR = 13
const LF = 10
/** A size, then extensions, which are dropped: only request smuggling uses them. */
const MAX_DIGITS = 12
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
    const small = new SmallPieces(chunk, this.#sink)
    let at = 0
    while (at < chunk.length && this.#state !== 'done') {
      if (this.#state === 'data') {
        const to = Math.min(chunk.length, at + this.#left)
        this.#left -= to - at
        if (this.#left === 0) this.#state = 'data-end'
        if (to - at < SMALL_PIECE) small.add(at, to)
        else {
          small.handOn()
          this.#sink(chunk.subarray(at, to))
        }
        at = to
        continue
      }
      const after = this.#takePlainLine(chunk, at)
      at = after === at ? this.#takeLine(chunk, at) : after
    }
    small.handOn()
    return at
  }

  /**
   * Reads the end of a chunk, or a size without an extension, where it is whole. As `#takeLine`, without a text for each:
   * chunks of one byte would take fifty times the time of larger ones. Returns where it ends; `from` for any other line.
   */
  #takePlainLine(chunk: Buffer, from: number): number {
    if (this.#line !== '') return from
    if (this.#state === 'data-end') {
      if (chunk[from] !== CR || chunk[from + 1] !== LF) return from
      this.#state = 'size'
      return from + 2
    }
    if (this.#state !== 'size') return from
    let size = 0
    let at = from
    for (let digit = hexDigit(chunk[at]); digit !== -1; digit = hexDigit(chunk[at])) {
      size = size * 16 + digit
      at += 1
    }
    const digits = at - from
    if (digits === 0 || digits > MAX_DIGITS) return from
    if (chunk[at] !== CR || chunk[at + 1] !== LF) return from
    this.#begin(size, digits)
    return at + 2
  }

  #begin(size: number, lineLength: number): void {
    this.#left = size
    this.#excess = Math.max(0, this.#excess + lineLength - FREE_FRAMING - 2 * size)
    if (this.#excess > MAX_EXCESS)
      throw new MalformedMessage('the chunk extensions are larger than what they stand beside')
    this.#state = size === 0 ? 'trailers' : 'data'
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
      this.extraBytes += line.length - digits.length
      this.#begin(Number.parseInt(digits, 16), line.length)
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

/** Small pieces of one read, which go on together. */
class SmallPieces {
  readonly #bytes: Buffer
  readonly #sink: (data: Buffer) => void
  /** Where the only piece is, while there is no second one. */
  #from = 0
  #to = 0
  /** Null until there is a second piece. */
  #copy: Buffer | null = null
  #copied = 0

  constructor(bytes: Buffer, sink: (data: Buffer) => void) {
    this.#bytes = bytes
    this.#sink = sink
  }

  add(from: number, to: number): void {
    if (this.#copy !== null) this.#append(this.#copy, from, to)
    else if (this.#to === 0) {
      this.#from = from
      this.#to = to
    } else {
      this.#copy = Buffer.allocUnsafe(this.#bytes.length - this.#from)
      this.#append(this.#copy, this.#from, this.#to)
      this.#append(this.#copy, from, to)
    }
  }

  handOn(): void {
    if (this.#to === 0) return
    const all = this.#copy?.subarray(0, this.#copied) ?? this.#bytes.subarray(this.#from, this.#to)
    this.#to = 0
    this.#copy = null
    this.#copied = 0
    this.#sink(all)
  }

  /** Byte by byte: a call of `copy` costs more than a few bytes. */
  #append(copy: Buffer, from: number, to: number): void {
    if (to - from > 64) this.#copied += this.#bytes.copy(copy, this.#copied, from, to)
    else
      for (let at = from; at < to; at += 1) {
        copy[this.#copied] = this.#bytes[at] ?? 0
        this.#copied += 1
      }
  }
}

/** -1 for a byte that is none. */
function hexDigit(byte = -1): number {
  if (byte >= 48 && byte <= 57) return byte - 48
  const letter = byte | 32
  return letter >= 97 && letter <= 102 ? letter - 87 : -1
}
