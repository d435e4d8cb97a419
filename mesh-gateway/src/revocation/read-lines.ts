/** Reads the complete lines of an open file from an offset on, piece by piece, with the event loop in between. */

/** An open file, with the `read` of Node's FileHandle. */
export interface Pieces {
  read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number; readonly buffer: Buffer }>
}

export interface LinesOptions {
  /** The start of a line. */
  readonly from: number
  /** The size of the file when it was opened: bytes written meanwhile are read the next time. */
  readonly to: number
  /** Maximum length of a line. */
  readonly maxLineBytes: number
}

const PIECE_BYTES = 65_536
const LINE_FEED = 0x0a

/**
 * Yields batches of lines without their line feed. Bytes after the last line feed are ignored: they are an incomplete
 * line.
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
