/**
 * The graceful end of a connection: no call is lost (RFC 9113, section 6.8): a GOAWAY that warns, time for the calls that were under
 * way to arrive, and then the GOAWAY that counts. Streams that run go on to their end.
 */
import { constants, type ServerHttp2Session } from 'node:http2'

const ALL_STREAMS = 2 ** 31 - 1
/** For a client that does not answer, in milliseconds. */
const WARNED_MS = 1_000

export function gracefulGoaway(session: ServerHttp2Session): void {
  if (session.closed || session.destroyed) return
  const close = () => {
    clearTimeout(timer)
    if (!session.closed && !session.destroyed) session.close()
  }
  const timer = setTimeout(close, WARNED_MS)
  session.once('close', () => clearTimeout(timer))
  session.goaway(constants.NGHTTP2_NO_ERROR, ALL_STREAMS)
  // the answer comes after everything that was sent before the warning arrived
  session.ping(close)
}
