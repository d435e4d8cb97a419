/** Decides whether the connection of a client stays open after an answer. */
import type { RequestHead } from './http1/request-head.ts'
import type { RequestRecord } from './record.ts'
import { type EgressTimeouts, keptMs } from './timeouts.ts'

export interface KeepingContext {
  draining(): boolean
  readonly timeouts: Pick<EgressTimeouts, 'keepAliveMs' | 'unauthenticatedKeepAliveMs'>
}

/** How long, in milliseconds; null: it is closed. The whole request has to be read besides. */
export function keptAfter(
  head: Pick<RequestHead, 'keepAlive'>,
  { client }: Pick<RequestRecord, 'client'>,
  context: KeepingContext,
): number | null {
  return head.keepAlive && !context.draining() ? keptMs(client, context.timeouts) : null
}
