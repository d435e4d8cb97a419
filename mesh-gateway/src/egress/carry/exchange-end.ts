/** How one request and its answer ended. */
import type { Refused } from '../refused.ts'

export interface ExchangeEnd {
  /** Status sent to the client; 0 when none was. */
  readonly status: number
  readonly refused: Refused | null
  readonly bytesUp: number
  readonly bytesDown: number
  /** The client connection may carry another request. */
  readonly keepAlive: boolean
  /** The upstream had closed an idle connection: the request may be sent again on a new one. */
  readonly stale: boolean
  /** Both sides speak WebSocket from here on. */
  readonly upgraded: boolean
  readonly reusable: boolean
  /** What the destination has announced by `Keep-Alive: timeout=`, in milliseconds; null when it has not. */
  readonly keepAliveMs: number | null
}
