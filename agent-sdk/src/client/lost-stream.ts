/** Tells a stream that broke, which Watch mends, from an answer that stands. */

import { METADATA_STATUS_DETAILS, type MeshError } from '@clawmesh/proto'
import { type ServiceError, status } from '@grpc/grpc-js'
import { statusToError } from '../wire/status-codec.ts'

export interface Judged {
  readonly error: MeshError
  /** Trying again can help. */
  readonly lost: boolean
}

/** What proxies and transports say when a connection breaks before an answer. RST_STREAM reads as the last two. */
const UNANSWERED: ReadonlySet<number> = new Set([
  status.UNAVAILABLE,
  status.CANCELLED,
  status.INTERNAL,
])

/** The same in the middle of an answer. DEADLINE_EXCEEDED: the gateway's clock, since ours is looked at first. */
const BROKEN: ReadonlySet<number> = new Set([
  ...UNANSWERED,
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
])

/** @param started whether an event has come already: then the task lives and is worth more patience */
export function judgeStreamError(thrown: unknown, started: boolean): Judged {
  const error = statusToError(thrown)
  const raw = error.cause
  const plain = isStatus(thrown) && thrown.metadata.get(METADATA_STATUS_DETAILS).length === 0
  if (plain && raw === thrown) {
    return { error, lost: (started ? BROKEN : UNANSWERED).has(thrown.code) }
  }
  const { retryable, grpc } = error.row
  return { error, lost: retryable && (started || grpc === 'UNAVAILABLE') }
}

function isStatus(error: unknown): error is ServiceError {
  return error instanceof Error && 'metadata' in error && 'code' in error
}
