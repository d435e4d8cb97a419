/** Reads a body whole into memory, within a bound. */

/**
 * Null when it has more than `maxBytes`; the rest is not read then, and the iterator is closed: that of a response ends its
 * connection.
 */
export async function readBounded(
  body: AsyncIterable<unknown> | Iterable<unknown>,
  maxBytes: number,
): Promise<Buffer | null> {
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of body) {
    if (!(piece instanceof Uint8Array)) continue
    bytes += piece.byteLength
    if (bytes > maxBytes) return null
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}
