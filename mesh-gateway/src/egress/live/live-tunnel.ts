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
  /** What that policy allowed at once: by it, it was counted or not. */
  readonly bounds: Bounds
  /** False when it was let through while `settled` was false: by a count that not all were part of. */
  readonly counted: boolean
  /** Written when it has lived for long. Default: nothing is. */
  readonly opening?: OpenRecord
  end(code: ErrorCode): void
}

/** Belongs to the registry. */
export interface LivePlace extends Place {
  readonly tunnel: LiveTunnel
  /** Grows with each that comes. */
  readonly age: number
  /** The generation of policy that it was last found to be allowed by. */
  judgedBy: number
}
