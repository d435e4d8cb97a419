/** An open tunnel or answer, with the grounds of its admission. */
import type { ErrorCode, Peer } from '@clawmesh/proto'
import type { OpenRecord } from '../../audit/open-record.ts'
import type { Admitted } from '../../live/grounds.ts'
import type { Place } from '../../live/registry.ts'
import type { EgressQuestion } from '../../policy/decide/decision.ts'
import type { Bounds } from '../enter-limits.ts'

export interface LiveTunnel {
  readonly agent: Peer
  readonly admitted: Admitted<EgressQuestion>
  /** The connected address. */
  readonly ip: string
  /** True for CONNECT and for a WebSocket, from its request on; they count as tunnels, all else as requests. */
  readonly tunnel: boolean
  /** The generation of policy that admitted it. */
  readonly generation: number
  /** Limits of that policy, by which it was counted. */
  readonly bounds: Bounds
  /** False if it was admitted while open tunnels were still being recounted. */
  readonly counted: boolean
  /** Its opening record, written when it has been open for long. Default: none. */
  readonly opening?: OpenRecord
  end(code: ErrorCode): void
}

/** The entry of one tunnel in the registry. */
export interface LivePlace extends Place {
  readonly tunnel: LiveTunnel
  /** Ascending: a younger tunnel has a higher one. */
  readonly age: number
  /** The last generation of policy that allowed it. */
  judgedBy: number
}
