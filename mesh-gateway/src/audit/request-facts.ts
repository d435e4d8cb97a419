/** Facts of a request or call that both planes put into the answer, the audit record and the metrics in one way. */
import { uuidV7 } from '@clawmesh/proto'

/** What an id given by a caller may hold: it stands in log lines and header fields. */
const REQUEST_ID = /^[\w.:-]{1,128}$/

/** An id that the caller gave and that may stand in a record. */
export function isRequestId(value: string): boolean {
  return REQUEST_ID.test(value)
}

/** The caller's id of the request: the first that may stand in a record, or else a new one. */
export function requestIdOf(given: string | undefined): string {
  return given !== undefined && isRequestId(given) ? given : uuidV7()
}

/** `duration_ms` of a record: milliseconds, of which microseconds are kept. */
export function durationMs(ms: number): number {
  return Math.round(ms * 1000) / 1000
}
