/** The forwarding of one call: what it is given, how it is ended, and how it has ended. */
import type { ClientHttp2Stream, ServerHttp2Stream } from 'node:http2'
import type { ErrorCode, MeshError } from '@clawmesh/proto'
import type { Meter } from '../client/meter.ts'
import type { UpstreamSession } from '../upstream/session.ts'
import type { Backlog } from './backlog.ts'

export interface Outcome {
  readonly grpcStatus: number
  /** The reason when the gateway ended the call; null when the callee's answer went through. */
  readonly code: ErrorCode | null
  readonly bytesUp: number
  readonly bytesDown: number
}

export interface ForwardOptions {
  readonly down: ServerHttp2Stream
  /** Has a place reserved for the call. */
  readonly session: UpstreamSession
  /** Opens the call there. @throws MeshError as `session.open` does */
  readonly open: (session: UpstreamSession) => ClientHttp2Stream
  /**
   * Finds another session, with a place reserved, when the peer certainly did not process the call (a retry); null when
   * there is none.
   */
  readonly elsewhere: ((failed: UpstreamSession) => Promise<UpstreamSession>) | null
  readonly requestId: string
  /** Called with the head of the answer before it is forwarded. Returns the error that forbids it, or null. */
  readonly onHead: (raw: readonly string[]) => MeshError | null
  /** Of the tree that the call is part of, once `onHead` has seen the answer; null outside any. */
  readonly rootId: () => string | null
  /** The byte counter of the caller's connection. */
  readonly meter: Meter
  readonly backlog: Backlog
  readonly onEnd: (outcome: Outcome) => void
}

export interface Forwarding {
  /** Ends the call with an error of the gateway's own. */
  cut(error: MeshError): void
  /** Resets the stream at once, for a caller that does not read to the end. */
  reset(): void
}
