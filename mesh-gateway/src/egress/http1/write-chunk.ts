/** Writes a piece of payload with chunked framing (RFC 9112, section 7.1). */
import type { BufferedSocket } from '../carry/buffered-socket.ts'
import type { Field } from './head.ts'
import { trailerLines } from './hop-by-hop.ts'

const SMALL_BYTES = 8192
const CRLF = Buffer.from('\r\n', 'latin1')

/** False when the other side is slower (back-pressure). */
export function writeChunk(socket: BufferedSocket, data: Buffer): boolean {
  const size = `${data.length.toString(16)}\r\n`
  if (data.length <= SMALL_BYTES) {
    const chunk = Buffer.allocUnsafe(size.length + data.length + 2)
    chunk.write(size, 0, 'latin1')
    data.copy(chunk, size.length)
    chunk.write('\r\n', size.length + data.length, 'latin1')
    return socket.write(chunk)
  }
  socket.raw.cork()
  socket.writeText(size)
  socket.write(data)
  const flowing = socket.write(CRLF)
  socket.raw.uncork()
  return flowing
}

export function writeLastChunk(socket: BufferedSocket, trailers: readonly Field[]): void {
  socket.writeText(`0\r\n${trailerLines(trailers)}\r\n`)
}
