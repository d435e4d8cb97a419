/**
 * The graceful shutdown of a connection, so that no call is lost (RFC 9113, section 6.8): a first GOAWAY as a warning,
 * time for calls under way to arrive, then the final GOAWAY. Open streams run to their end.
 */
import { constants, type ServerHttp2Session } from 'node:http2'

const ALL_STREAMS = 2 ** 31 - 1
/** The wait for a client that does not answer the PING, in milliseconds. */
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
  // the PING's answer comes after all frames that the client sent before it saw the warning
  session.ping(close)
}
