/** The spans of an agent: what it delegates, what it fetches, the tasks that it runs. */
import { MeshError, parseTraceparent } from '@clawmesh/proto'
import { type AttributeValue, type Span, type SpanKind, spanIdsOf } from './span.ts'
import type { SpanExporter } from './span-exporter.ts'

/** Work that begins now. */
export interface Work {
  /** The traceparent that names its span. */
  readonly span: string
  /** The traceparent that it continues; null, and what cannot be read: its trace begins here. */
  readonly parent: string | null | undefined
  readonly name: string
  readonly kind: SpanKind
  readonly attributes: Readonly<Record<string, AttributeValue>>
}

export interface SpanRecorder {
  /** The result ends the span, once. It takes what went wrong: an error, an error code, or null. */
  begin(work: Work): (failure: unknown) => void
}

export function createSpanRecorder(exporter: SpanExporter<Span>): SpanRecorder {
  return {
    begin({ span, parent, ...rest }) {
      const ids = spanIdsOf(span)
      const startMs = performance.now()
      let over = ids === null
      return (failure) => {
        if (over || ids === null) return
        over = true
        exporter.add(ids.traceId, {
          ...{ ...ids, ...rest },
          parentSpanId: parseTraceparent(parent ?? undefined)?.parentId ?? null,
          endMs: Date.now(),
          durationMs: performance.now() - startMs,
          error: failureOf(failure),
        })
      }
    },
  }
}

/** A status, a state, a code, the name of a class. */
const WORD = /^(?:\d{3}|[a-z_-]{1,30}|[A-Z][A-Za-z0-9_]{0,60})$/
const OTHER = 'other'

/** Of bounded number: never the words of an error, nor of what else was thrown, as the reason of an abort. */
function failureOf(failure: unknown): string | null {
  if (failure === null || failure === undefined) return null
  if (failure instanceof MeshError) return failure.code
  const word = failure instanceof Error ? failure.name : failure
  return typeof word === 'string' && WORD.test(word) ? word : OTHER
}
