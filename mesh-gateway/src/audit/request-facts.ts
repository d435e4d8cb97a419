/** Facts of a request or call that both planes format alike for the answer, the audit record and the metrics. */
import { uuidV7 } from '@clawmesh/proto'

/** Characters allowed in a caller's id: it appears in log lines and header fields. */
const REQUEST_ID = /^[\w.:-]{1,128}$/

/** True when a caller's id may be recorded. */
export function isRequestId(value: string): boolean {
  return REQUEST_ID.test(value)
}

/** The caller's request id, if it may be recorded, else a new one. */
export function requestIdOf(given: string | undefined): string {
  return given !== undefined && isRequestId(given) ? given : uuidV7()
}

/** `duration_ms` of a record: milliseconds, rounded to microseconds. */
export function durationMs(ms: number): number {
  return Math.round(ms * 1000) / 1000
}
