/** W3C Trace Context, level 1, section 3.2: the traceparent header, kept when it is good and made when it is not. */
import { createRandomHex } from './random-hex.ts'

export interface TraceContext {
  /** 32 lower-case hexadecimal digits. */
  readonly traceId: string
  /** 16 lower-case hexadecimal digits. */
  readonly parentId: string
  readonly sampled: boolean
}

const randomHex = createRandomHex()
const ZEROS = /^0+$/
const FORM = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

export function parseTraceparent(header: string | undefined): TraceContext | null {
  if (header === undefined || header.length > 128) return null
  const [, version, traceId, parentId, flags, rest] = FORM.exec(header) ?? []
  if (version === undefined || traceId === undefined || parentId === undefined) return null
  if (version === 'ff' || (version === '00' && rest !== undefined)) return null
  if (ZEROS.test(traceId) || ZEROS.test(parentId)) return null
  return { traceId, parentId, sampled: (Number.parseInt(flags ?? '0', 16) & 1) === 1 }
}

/**
 * The header when it is given more than once: the last one where all are of one trace, else a text that names none, as a
 * list would be malformed. @param before the one that was read before; undefined for the first
 */
export function lastTraceparent(before: string | undefined, next: string): string {
  return before === undefined || before.slice(3, 35) === next.slice(3, 35) ? next : ''
}

export function startTrace(): TraceContext {
  return { traceId: idOf(32), parentId: idOf(16), sampled: false }
}

/** The same trace, one span further in. */
export function childTrace(parent: TraceContext): TraceContext {
  return { ...parent, parentId: idOf(16) }
}

export function formatTraceparent(context: TraceContext): string {
  return `00-${context.traceId}-${context.parentId}-${context.sampled ? '01' : '00'}`
}

/** Zeros alone are no id; they do not come in the life of a universe, and are not handed on all the same. */
function idOf(digits: 16 | 32): string {
  const id = randomHex(digits)
  return ZEROS.test(id) ? idOf(digits) : id
}
