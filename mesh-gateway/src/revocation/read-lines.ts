/** Reads the whole lines of an open file from a byte on, piece by piece, with the event loop in between. */

/** An open file, as FileHandle of Node reads it. */
export interface Pieces {
  read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number; readonly buffer: Buffer }>
}

export interface LinesOptions {
  /** Where a line begins. */
  readonly from: number
  /** Where the file ended when it was looked at: what is written meanwhile is read the next time. */
  readonly to: number
  /** No line may be longer. */
  readonly maxLineBytes: number
}

const PIECE_BYTES = 65_536
const LINE_FEED = 0x0a

/**
 * Lines without their line feed, some at a time. What comes after the last line feed is left: it is a line that is yet to
 * be written to its end, or never will be.
 * @throws RangeError for a line that is too long
 */
export async function* readLines(
  file: Pieces,
  { from, to, maxLineBytes }: LinesOptions,
): AsyncGenerator<readonly string[]> {
  let at = from
  let rest: Buffer = Buffer.alloc(0)
  while (at < to) {
    const length = Math.min(PIECE_BYTES, to - at)
    const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, at)
    if (bytesRead === 0) return
    at += bytesRead
    const piece = Buffer.concat([rest, buffer.subarray(0, bytesRead)])
    const end = piece.lastIndexOf(LINE_FEED)
    rest = piece.subarray(end + 1)
    if (rest.length > maxLineBytes) throw new RangeError('a line is too long')
    if (end !== -1) yield piece.toString('utf8', 0, end).split('\n')
  }
}
