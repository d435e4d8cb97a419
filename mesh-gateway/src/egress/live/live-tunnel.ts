/** A tunnel or an answer that flows now, with what it was let through for. */
import type { ErrorCode, Peer } from '@clawmesh/proto'
import type { OpenRecord } from '../../audit/open-record.ts'
import type { Admitted } from '../../live/grounds.ts'
import type { Place } from '../../live/registry.ts'
import type { EgressQuestion } from '../../policy/decide/decision.ts'
import type { Bounds } from '../enter-limits.ts'

export interface LiveTunnel {
  readonly agent: Peer
  readonly admitted: Admitted<EgressQuestion>
  /** The address connected to. */
  readonly ip: string
  /** Counts among tunnels: CONNECT, and a WebSocket from its request on. Else among requests. */
  readonly tunnel: boolean
  /** Of the policy that let it through. */
  readonly generation: number
  /** Limits of that policy, by which it was counted. */
  readonly bounds: Bounds
  /** False if it was admitted while open tunnels were still being recounted. */
  readonly counted: boolean
  /** Written when it has lived for long. Default: nothing is. */
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
