/** The metrics interface of the data planes. Labels are bounded: planes, actions, error codes. Times are in seconds. */
import type { ErrorCode } from '@clawmesh/proto'
import type { ProxyFault } from '../net/proxy-protocol/reading.ts'

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

/** Why a connection was refused or cut; `decision` counts refused calls. */
export type ConnectionRefusal =
  | 'accept'
  | 'memory'
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
  | ProxyFault

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
  /** From the first byte of a request or call to its end. `traceId` as in `decision`. */
  duration(plane: Plane, seconds: number, traceId?: string | null): void
  tokenValidation(seconds: number): void
  dns(plane: Plane, seconds: number): void
  dial(plane: Plane, seconds: number): void
  /** Reports that an answer was used beyond its TTL, because DNS failed. */
  dnsStale(plane: Plane): void
  /** @param error why the last good version was kept */
  reload(what: Reloadable, ok: boolean, generation: number, error?: unknown): void
  /** Policy files whose version on disk is not in force. */
  brokenPolicy(files: readonly string[]): void
  certificateNotAfter(epochSeconds: number): void
  /** Of the CRL that expires first. */
  crlNextUpdate(epochSeconds: number): void
  /** Entries of the gateway's own revocation list, by their makers. */
  revocations(byOperators: number, byAgents: number): void
  /** Reports that an open stream or tunnel was ended by a later change. */
  cut(plane: Plane, reason: ErrorCode): void
  auditDropped(): void
  /** Reports a record that is counted in a summary instead of being written. */
  auditFolded(): void
  connectionRefused(port: Plane | 'admin' | 'health', reason: ConnectionRefusal): void
}
