/**
 * Stops reading a request whose answer is complete. RFC 9113, section 8.1: a reset with NO_ERROR asks the client to
 * stop sending. nghttp2 drops unsent data of a stream that is reset, so the reset waits until the answer has left:
 * Node's `finish` comes earlier, on a busy connection by a long time.
 */
import { constants, type ServerHttp2Stream } from 'node:http2'

/** How often a slow connection is checked again, in milliseconds. */
const FIRST_LOOK_MS = 10
const SLOWEST_LOOK_MS = 500

/** To be called when the end of the answer has been handed to Node. Most clients end their request themselves. */
export function stopReading(stream: ServerHttp2Stream): void {
  if (stream.readableEnded || stream.closed || stream.destroyed) return
  stream.resume()
  setImmediate(look, stream, FIRST_LOOK_MS)
}

function look(stream: ServerHttp2Stream, againMs: number): void {
  if (stream.closed || stream.destroyed) return
  if (hasSentAll(stream)) stream.close(constants.NGHTTP2_NO_ERROR)
  else setTimeout(look, againMs, stream, Math.min(againMs * 2, SLOWEST_LOOK_MS)).unref()
}

/** True when the frame that ends the answer has left. */
function hasSentAll(stream: ServerHttp2Stream): boolean {
  return stream.state.localClose === 1
}
