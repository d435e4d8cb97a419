/**
 * Reads the lines of a stream of any size, one after another. Skips a line longer than any record without buffering it.
 */

export interface Line {
  /** Null when it was too long. */
  readonly text: string | null
  /** False for the text after the last line feed: it may still be written, or was cut. */
  readonly whole: boolean
}

const LINE_FEED = 0x0a

export async function* readLines(
  stream: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<Line> {
  let pieces: Uint8Array[] = []
  let size = 0
  const take = (piece: Uint8Array) => {
    size += piece.length
    if (size > maxBytes) pieces = []
    else if (piece.length > 0) pieces.push(piece)
  }
  const end = (whole: boolean): Line => {
    const text = size > maxBytes ? null : Buffer.concat(pieces).toString('utf8')
    pieces = []
    size = 0
    return { text, whole }
  }
  for await (const chunk of stream) {
    let start = 0
    for (
      let at = chunk.indexOf(LINE_FEED);
      at !== -1;
      start = at + 1, at = chunk.indexOf(LINE_FEED, start)
    ) {
      take(chunk.subarray(start, at))
      yield end(true)
    }
    take(chunk.subarray(start))
  }
  if (size > 0) yield end(false)
}
