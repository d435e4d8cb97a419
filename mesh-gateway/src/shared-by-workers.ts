/** The parts that worker processes of one gateway share: a worker gets them from its supervisor. */
import type { TokenLink } from '@clawmesh/proto/pkcs11'
import type { CancelRelay } from './delegation/mcp/running-requests.ts'
import type { TicketKeys } from './egress/client/listen-for-clients.ts'
import type { Counting } from './limits/open-limits.ts'
import type { ListenAddress } from './net/port.ts'

export interface WorkerShare {
  /** The address of the admin port, in the supervisor. */
  readonly admin: ListenAddress
  /** Counts limits for all workers, unless Redis does. */
  readonly counting: Counting
  readonly ticketKeys: TicketKeys
  readonly cancels: CancelRelay
  /** The token of the signing keys, in the supervisor; null where keys are files. */
  readonly token: TokenLink | null
  /** True while the supervisor can write the workers' stdout. */
  passedOn(): boolean
}
