/** The outcome of one request and its answer. */
import type { Refused } from '../refused.ts'

export interface ExchangeEnd {
  /** The status sent to the client; 0 when none was sent. */
  readonly status: number
  readonly refused: Refused | null
  readonly bytesUp: number
  readonly bytesDown: number
  /** The client connection may carry another request. */
  readonly keepAlive: boolean
  /** The upstream had already closed an idle connection: the request may be retried on a new one. */
  readonly stale: boolean
  /** Both sides speak WebSocket from now on. */
  readonly upgraded: boolean
  readonly reusable: boolean
  /** The `Keep-Alive: timeout=` of the destination, in milliseconds; null without one. */
  readonly keepAliveMs: number | null
}
