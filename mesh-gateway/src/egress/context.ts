/** The context of an egress port: what its requests use. */

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

/** The policy in force: one generation for the whole of a request. */
export interface PolicyView {
  readonly generation: number
  readonly addresses: AddressRules
  readonly tunnelTls: TunnelTls
  decide(question: EgressQuestion): EgressDecision
  /** The agent's limits; null without policy. */
  bounds(agent: Principal['agent']): Bounds | null
}

export interface AccountTokenRequest {
  /** An agent of the account's tenant; null when the account stands for one agent. */
  readonly agentId: string | null
  /** Null: all that policy allows. */
  readonly destinations: readonly string[] | null
  /** Null: the default. */
  readonly ttlMs: number | null
}

/**
 * Issues a token for a service-account key. @throws MeshError MESH_ACCOUNT_KEY_INVALID, MESH_TOKEN_REQUEST_INVALID,
 * MESH_POLICY_NOT_ALLOWED
 */
export type IssueForAccountKey = (
  key: Secret<string>,
  request: AccountTokenRequest,
) => Promise<{ readonly token: Secret<string>; readonly claims: EgressClaims }>

export interface EgressTimeouts {
  /** Timeout of the whole head of a request, in milliseconds. Default 10,000. */
  readonly headerMs: number
  /** Timeout between two requests on a connection. Default 60,000. */
  readonly keepAliveMs: number
  /** The same, when the last request had no valid token. Default 5,000. */
  readonly unauthenticatedKeepAliveMs: number
  /** Timeout of dialling all addresses of a destination. Default 10,000. */
  readonly dialMs: number
  /** Timeout of the ClientHello in a tunnel. Default 10,000. */
  readonly helloMs: number
  /** Timeout without a byte either way in a tunnel or a body. Default 300,000. */
  readonly idleMs: number
  /**
   * The same while an answer is awaited: the whole request has been sent, or the client sent last in the tunnel.
   * Default 900,000.
   */
  readonly answerMs: number
  /** Timeout of an idle upstream connection. Default 4,000. */
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
  /** True when the token's verification is cached. */
  readonly remembersToken: (token: string) => boolean
  readonly refusals: RefusalBudgets
  /** The agent of a SPIFFE ID. @throws MeshError MESH_TOKEN_MALFORMED when it names no agent of this mesh. */
  readonly parseAgent: (spiffeId: string) => AgentIdentity
  readonly issueForAccountKey: IssueForAccountKey | null
  readonly revokeToken: RevokeToken | null
  /** The trust bundle of the mesh. */
  readonly bundle: BundleTrust
  /** The current keys, revocations and trust, by which grounds are judged. */
  readonly standing: Standing
  /** The certificate of this connection's client. */
  readonly certificate: ShownCertificate
  policy(): PolicyView
  /** The trusted roots, for TLS connections that the gateway makes. */
  trust(): SecureContext
  jwks(): object
  ownAddresses(): readonly ListenAddress[]
  /** Why an open or admitted tunnel may not go on now; null when it may. */
  judgeAgain(tunnel: Omit<LiveTunnel, 'end'>): ErrorCode | null
  isReady(): boolean
  draining(): boolean
  /** Refuses everything while the audit log cannot be written. */
  readonly refuseWithoutAudit: boolean
}
