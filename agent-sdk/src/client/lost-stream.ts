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

/** True of the end of a stream that the gateway had let through, when it says that Watch may go on after the last event. */
export function isCut(error: MeshError): boolean {
  return error.facts.resume === 'watch'
}

/**
 * @param started whether an event has come already: then the task lives and is worth more patience
 * @param cut whether the gateway has ended a stream of it before, and nothing has come since
 */
export function judgeStreamError(thrown: unknown, started: boolean, cut = false): Judged {
  const error = statusToError(thrown)
  const raw = error.cause
  const plain = isStatus(thrown) && thrown.metadata.get(METADATA_STATUS_DETAILS).length === 0
  if (plain && raw === thrown) {
    return { error, lost: (started ? BROKEN : UNANSWERED).has(thrown.code) }
  }
  const { retryable, final, grpc } = error.row
  // a certificate that is being renewed is worth waiting for; what policy says stands
  const passing = isCut(error) || (cut && !final)
  return { error, lost: (retryable && (started || grpc === 'UNAVAILABLE')) || passing }
}

function isStatus(error: unknown): error is ServiceError {
  return error instanceof Error && 'metadata' in error && 'code' in error
}
