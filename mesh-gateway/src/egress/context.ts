/** What every request of one egress port has at hand. */

import type { SecureContext } from 'node:tls'
import type { Log } from '@clawmesh/agent-sdk/mesh'
import type { AgentIdentity, EgressClaims, ErrorCode, Secret } from '@clawmesh/proto'
import type { AuditLog } from '../audit/audit-record.ts'
import type { Limits } from '../limits/limits.ts'
import type { RefusalBudgets } from '../limits/refusal-budget.ts'
import type { Standing } from '../live/judge.ts'
import type { BundleTrust } from '../live/trust.ts'
import type { AddressRules } from '../net/address-rules.ts'
import type { ListenAddress } from '../net/port.ts'
import type { EgressDecision, EgressQuestion, TunnelTls } from '../policy/decide/decision.ts'
import type { Resolver } from '../resolve/resolver.ts'
import type { Metrics } from '../telemetry/metrics-port.ts'
import type { RevokeToken } from '../tokens/revoke-token.ts'
import type { Principal, VerifyToken } from './authenticate.ts'
import type { ShownCertificate } from './client/listen-for-clients.ts'
import type { Bounds } from './enter-limits.ts'
import type { LiveTunnel } from './live/live-tunnel.ts'
import type { Tunnels } from './live/live-tunnels.ts'
import type { UpstreamPool } from './upstream/upstream-pool.ts'

/** Policy as it stands now: one generation, for one whole request. */
export interface PolicyView {
  readonly generation: number
  readonly addresses: AddressRules
  readonly tunnelTls: TunnelTls
  decide(question: EgressQuestion): EgressDecision
  /** What an agent may have open; null without policy. */
  bounds(agent: Principal['agent']): Bounds | null
}

export interface AccountTokenRequest {
  /** Which agent of the account's tenant; null when the account stands for one. */
  readonly agentId: string | null
  /** Null: all that policy allows. */
  readonly destinations: readonly string[] | null
  /** Null: the default. */
  readonly ttlMs: number | null
}

/** A token for a service-account key. @throws MeshError MESH_ACCOUNT_KEY_INVALID, MESH_TOKEN_REQUEST_INVALID, MESH_POLICY_NOT_ALLOWED */
export type IssueForAccountKey = (
  key: Secret<string>,
  request: AccountTokenRequest,
) => Promise<{ readonly token: Secret<string>; readonly claims: EgressClaims }>

export interface EgressTimeouts {
  /** The whole header of a request, in milliseconds. Default 10,000. */
  readonly headerMs: number
  /** Between two requests on a connection. Default 60,000. */
  readonly keepAliveMs: number
  /** The same, when the last request showed no good token. Default 5,000. */
  readonly unauthenticatedKeepAliveMs: number
  /** All addresses of a destination together. Default 10,000. */
  readonly dialMs: number
  /** The ClientHello in a tunnel. Default 10,000. */
  readonly helloMs: number
  /** Without a byte either way in a tunnel or a body. Default 300,000. */
  readonly idleMs: number
  /** The same while an answer is waited for: the whole request has been sent, or the last bytes of a tunnel were the client's. Default 900,000. */
  readonly answerMs: number
  /** An upstream connection that waits to be used again. Default 4,000. */
  readonly upstreamIdleMs: number
}

export interface EgressContext {
  readonly issuer: string
  readonly ownNames: ReadonlySet<string>
  readonly timeouts: EgressTimeouts
  readonly limits: Limits
  readonly audit: AuditLog
  readonly metrics: Metrics
  readonly log: Log
  readonly resolver: Resolver
  readonly pool: UpstreamPool
  readonly tunnels: Tunnels
  readonly verifyToken: VerifyToken
  /** Whether the token was verified lately, so that verifying it costs nothing. */
  readonly remembersToken: (token: string) => boolean
  readonly refusals: RefusalBudgets
  /** The agent that a SPIFFE ID names. @throws MeshError MESH_TOKEN_MALFORMED when it names none of this mesh. */
  readonly parseAgent: (spiffeId: string) => AgentIdentity
  readonly issueForAccountKey: IssueForAccountKey | null
  readonly revokeToken: RevokeToken | null
  /** The trust bundle of the mesh. */
  readonly bundle: BundleTrust
  /** How things stand: what grounds are judged by. */
  readonly standing: Standing
  /** Of the client of this connection. */
  readonly certificate: ShownCertificate
  policy(): PolicyView
  /** Whose certificates are believed where the gateway makes the TLS connection. */
  trust(): SecureContext
  jwks(): object
  ownAddresses(): readonly ListenAddress[]
  /** Why what is open, or about to be, may not go on, as things stand now; null when it may. */
  judgeAgain(tunnel: Omit<LiveTunnel, 'end'>): ErrorCode | null
  isReady(): boolean
  draining(): boolean
  /** Refuse everything while the audit log cannot be written. */
  readonly refuseWithoutAudit: boolean
}
