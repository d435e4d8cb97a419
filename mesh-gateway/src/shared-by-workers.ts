/** What is not a gateway's own where several processes share the ports: workers have it from their supervisor. */
import type { TicketKeys } from './egress/client/listen-for-clients.ts'
import type { Counting } from './limits/open-limits.ts'
import type { ListenAddress } from './net/port.ts'

export interface WorkerShare {
  /** Where the admin port is, which another process has. */
  readonly admin: ListenAddress
  /** Counts for all of them, unless Redis does. */
  readonly counting: Counting
  readonly ticketKeys: TicketKeys
  /** Whether what is written to stdout is passed on. */
  passedOn(): boolean
}
