/** Options of the sessions to peers, and their bounds. */
import type { IdentityStore, Log } from '@clawmesh/agent-sdk/mesh'
import type { SpiffeTemplate } from '@clawmesh/proto'
import type { StaticPeers } from '../../config/static-peers.ts'
import type { ListenAddress } from '../../net/port.ts'
import type { Resolver } from '../../resolve/resolver.ts'
import type { RevocationJudge } from '../../revocation/judge.ts'
import type { Metrics } from '../../telemetry/metrics-port.ts'
import type { ReplicaMarks } from './replica.ts'

export interface UpstreamsOptions {
  readonly identity: IdentityStore
  readonly spiffe: SpiffeTemplate
  readonly resolver: Resolver
  readonly metrics: Metrics
  readonly log: Log
  /** Default: nothing is revoked. */
  readonly revocations?: Pick<RevocationJudge, 'certificate'>
  /** For TCP, TLS and HTTP/2 together, in milliseconds. Default 10 000. */
  readonly dialTimeoutMs?: number | undefined
  /** An unused session is closed after this, in milliseconds. Default 5 minutes. */
  readonly idleMs?: number
  /** The interval of PINGs, in milliseconds. Default 30 000. */
  readonly pingMs?: number
  /** The age at which a session takes no more streams, in milliseconds; 0 for never, the default. */
  readonly ageMs?: number
  /** Ports that callers may name besides those of SRV. Default 7443 alone. */
  readonly peerPorts?: readonly number[] | undefined
  /** The peers whose addresses the configuration gives instead of DNS; asked for each call. Default: none. */
  readonly staticPeers?: (() => StaticPeers | null) | undefined
  /** Where this gateway listens: no peer is dialled there. Default: nowhere. */
  readonly ownAddresses?: () => readonly ListenAddress[]
  /** Default: marks of this gateway alone. */
  readonly marks?: ReplicaMarks | undefined
}

/** The options with their defaults filled in. */
export interface UpstreamSettings extends UpstreamsOptions {
  readonly dialTimeoutMs: number
  readonly idleMs: number
  readonly pingMs: number
  readonly ageMs: number
  readonly peerPorts: readonly number[]
  readonly marks: ReplicaMarks
}
