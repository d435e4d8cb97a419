/** W3C Trace Context, level 1, section 3.2: the traceparent header, kept when it is good and made when it is not. */
import { randomUUID } from 'node:crypto'

export interface TraceContext {
  /** 32 lower-case hexadecimal digits. */
  readonly traceId: string
  /** 16 lower-case hexadecimal digits. */
  readonly parentId: string
  readonly sampled: boolean
}

const FORM = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

export function parseTraceparent(header: string | undefined): TraceContext | null {
  if (header === undefined || header.length > 128) return null
  const [, version, traceId, parentId, flags, rest] = FORM.exec(header) ?? []
  if (version === undefined || traceId === undefined || parentId === undefined) return null
  if (version === 'ff' || (version === '00' && rest !== undefined)) return null
  if (/^0+$/.test(traceId) || /^0+$/.test(parentId)) return null
  return { traceId, parentId, sampled: (Number.parseInt(flags ?? '0', 16) & 1) === 1 }
}

export function startTrace(): TraceContext {
  const [a, b] = [randomUUID(), randomUUID()]
  const traceId = `${a.slice(0, 8)}${a.slice(9, 13)}${a.slice(24)}${b.slice(0, 8)}`
  return { traceId, parentId: spanIdOf(b), sampled: false }
}

/** The same trace, one span further in. */
export function childTrace(parent: TraceContext): TraceContext {
  return { ...parent, parentId: spanIdOf(randomUUID()) }
}

export function formatTraceparent(context: TraceContext): string {
  return `00-${context.traceId}-${context.parentId}-${context.sampled ? '01' : '00'}`
}

/** Sixteen digits of a UUID that are random: it has fixed ones at 14 and 19. Cheaper than bytes drawn for each. */
function spanIdOf(uuid: string): string {
  return `${uuid.slice(9, 13)}${uuid.slice(24)}`
}
