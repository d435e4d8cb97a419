/** What the data planes report. Labels are bounded: planes, actions, error codes. Seconds throughout. */
import type { ErrorCode } from '@clawmesh/proto'

export type Plane = 'egress' | 'delegation'
export type Reloadable =
  | 'identity'
  | 'policy'
  | 'keys'
  | 'config'
  | 'accounts'
  | 'egress-ca'
  | 'egress-tls'
  | 'crl'
  | 'revocations'

/** Why a connection was not taken or was cut; what a call is refused for is told by `decision`. */
export type ConnectionRefusal =
  | 'accept'
  | 'connections'
  | 'connections-per-address'
  | 'connection-rate'
  | 'connections-per-agent'
  | 'connections-per-destination'
  | 'handshakes'
  | 'handshake-timeout'
  | 'tls'
  | 'not-http2'
  | 'protocol'
  | 'streams'
  | 'resets'
  | 'control-frames'
  | 'control-bytes'
  | 'no-answer'

export interface Metrics {
  /** @param traceId of the request or call: it becomes the exemplar of the series; default none */
  decision(
    plane: Plane,
    action: 'allow' | 'audit' | 'deny',
    reason: string,
    traceId?: string | null,
  ): void
  /** +1 when a tunnel or stream opens, -1 when it ends. */
  active(plane: Plane, change: 1 | -1): void
  /** From the first byte of a request or call to its end. `traceId` as for `decision`. */
  duration(plane: Plane, seconds: number, traceId?: string | null): void
  tokenValidation(seconds: number): void
  dns(plane: Plane, seconds: number): void
  dial(plane: Plane, seconds: number): void
  /** An answer was used beyond its TTL, since DNS did not answer. */
  dnsStale(plane: Plane): void
  /** @param error why the last good one was kept */
  reload(what: Reloadable, ok: boolean, generation: number, error?: unknown): void
  /** Policy files that are not in force as they lie on disk. */
  brokenPolicy(files: readonly string[]): void
  certificateNotAfter(epochSeconds: number): void
  /** Of the list of revoked certificates that ends first. */
  crlNextUpdate(epochSeconds: number): void
  /** Entries of the gateway's own list, by those who made them. */
  revocations(byOperators: number, byAgents: number): void
  /** A live stream or tunnel was ended for what changed after it was let through. */
  cut(plane: Plane, reason: ErrorCode): void
  auditDropped(): void
  /** A record is counted in a summary instead of being written. */
  auditFolded(): void
  connectionRefused(port: Plane | 'admin', reason: ConnectionRefusal): void
}
