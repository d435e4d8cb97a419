/** The answers of the endpoints below /api/, as the page uses them. docs/reference/admin-api.md has all fields. */
import type { LimitUse } from '../../../limits/limits.ts'
import type { PeerState } from '../../../live/peer-state.ts'
import type { CertificateFacts, Edge, OverviewFacts, WorkerState } from '../../api/answer-shapes.ts'

export interface Fault {
  readonly what: string
  readonly reason: string
}

export interface Overview extends OverviewFacts {
  readonly version: string
  readonly node: string
  readonly started: string
  readonly ready: boolean
  readonly missing: readonly Fault[]
  readonly degraded: readonly Fault[]
  readonly workers: readonly WorkerState[]
}

export interface Mesh {
  readonly edges: readonly Edge[]
  readonly left_out: number
}

export interface TreeFacts {
  readonly root_id: string
  readonly origin: string | null
  readonly began: string
  readonly duration_ms: number
  readonly delegations: number
  readonly states: Readonly<Record<string, number>>
  readonly left_out: number
}

export interface TreeNode {
  readonly delegation_id: string
  readonly depth: number
  readonly caller: string
  readonly callee: string
  readonly state: string
  readonly code: string | null
  readonly began: string
  readonly duration_ms: number
  readonly times: number
}

export interface Trees {
  readonly trees: readonly TreeFacts[]
  readonly older: boolean
}

export interface Tree extends TreeFacts {
  readonly nodes: readonly TreeNode[]
}

/** A record of the audit log. */
export interface Decision {
  readonly time: string
  readonly event: 'egress' | 'delegation'
  readonly request_id: string
  readonly tenant: string | null
  readonly agent_id: string | null
  readonly destination_host: string | null
  readonly destination_port: number | null
  readonly callee?: string | null
  readonly grpc_method?: string | null
  readonly method?: string
  readonly action_allowed: boolean
  readonly mode: string
  readonly reason: string | null
  readonly rule: string | null
  readonly root_id: string | null
  readonly hop?: number | null
  readonly duration_ms: number
  readonly repeated: number | null
}

export interface Decisions {
  readonly decisions: readonly Decision[]
  readonly more: boolean
  readonly reasons: Readonly<Record<string, { readonly meaning: string; readonly hint: string }>>
}

export interface Open {
  readonly calls: number
  readonly tunnels: number
  readonly open: readonly Decision[]
  readonly left_out: number
}

export interface Peers {
  readonly peers: readonly PeerState[]
}

export interface Limits {
  readonly counted_in: string
  readonly uses: readonly LimitUse[]
}

export interface Certificates {
  readonly certificates: readonly CertificateFacts[]
}

export interface Explained {
  readonly action: string
  readonly code: string | null
  readonly reason: string | null
  readonly rule: string | null
  readonly file: string | null
  readonly mode: string
  readonly hint: string | null
  readonly limits: Readonly<Record<string, number | null>>
}
