/** The trace that a piece of work is part of: one id through both planes, a new span for each call. W3C Trace Context, level 1. */
import { childTrace, formatTraceparent, parseTraceparent, startTrace } from '@clawmesh/proto'

/** A new span of the trace that `traceparent` names, or of a new trace. Null, and what cannot be read, names none. */
export function spanOf(traceparent: string | null | undefined): string {
  const parent = parseTraceparent(traceparent ?? undefined)
  return formatTraceparent(parent === null ? startTrace() : childTrace(parent))
}

/** @throws TypeError when it is no traceparent */
export function checkTraceparent(traceparent: string | undefined): string | null {
  if (traceparent === undefined) return null
  if (typeof traceparent === 'string' && parseTraceparent(traceparent) !== null) return traceparent
  throw new TypeError('traceparent: must be as W3C Trace Context has it: 00-<32 hex>-<16 hex>-01')
}
