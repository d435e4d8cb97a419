/** Spans, and their form in OTLP/HTTP with JSON (OpenTelemetry protocol 1.3: ids in hexadecimal, times in nanoseconds as text). */
import { parseTraceparent } from '@clawmesh/proto'

export type SpanKind = 'internal' | 'server' | 'client'
export type AttributeValue = string | number | boolean | null | undefined

/** One finished piece of work of a trace. */
export interface Span {
  /** 32 lower-case hexadecimal digits. */
  readonly traceId: string
  /** 16 lower-case hexadecimal digits. */
  readonly spanId: string
  /** Null where the trace begins. */
  readonly parentSpanId: string | null
  readonly name: string
  readonly kind: SpanKind
  /** Milliseconds since the epoch. */
  readonly endMs: number
  readonly durationMs: number
  /** An error code, or another word of bounded number; null for success. */
  readonly error: string | null
  /** Those that are null or undefined are left out. */
  readonly attributes: Readonly<Record<string, AttributeValue>>
}

/** RFC 9110 and RFC 5789, and QUERY. */
const HTTP_METHODS: ReadonlySet<string> = new Set(
  'CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT QUERY TRACE'.split(' '),
)

/** A method of HTTP for a span, by OpenTelemetry's semantic conventions: names of spans are few, whatever a client sends. */
export interface SpanMethod {
  /** One of the known methods, or `_OTHER`. */
  readonly name: string
  readonly attributes: Readonly<Record<string, AttributeValue>>
}

export function spanMethod(method: string): SpanMethod {
  const known = HTTP_METHODS.has(method)
  const name = known ? method : '_OTHER'
  return {
    name,
    attributes: {
      'http.request.method': name,
      'http.request.method_original': known ? null : method,
    },
  }
}

/** The library that made the spans. */
export interface Scope {
  readonly name: string
  readonly version?: string
}

/** Of the process: `service.name` at least. */
export type Resource = Readonly<Record<string, AttributeValue>>

/** SpanKind of trace.proto. */
const KINDS: Readonly<Record<SpanKind, number>> = Object.freeze({
  internal: 1,
  server: 2,
  client: 3,
})
/** Status.StatusCode of trace.proto. */
const STATUS_ERROR = 2

/** The ids of a traceparent, for the span that it names. */
export function spanIdsOf(traceparent: string): Pick<Span, 'traceId' | 'spanId'> | null {
  const named = parseTraceparent(traceparent)
  return named === null ? null : { traceId: named.traceId, spanId: named.parentId }
}

/** An ExportTraceServiceRequest. */
export function encodeSpans(spans: readonly Span[], resource: Resource, scope: Scope): string {
  return JSON.stringify({
    resourceSpans: [
      {
        resource: { attributes: attributesOf(resource) },
        scopeSpans: [{ scope, spans: spans.map(encodeSpan) }],
      },
    ],
  })
}

function encodeSpan(span: Span): object {
  const { traceId, spanId, parentSpanId, name, kind, endMs, durationMs, error } = span
  return {
    traceId,
    spanId,
    ...(parentSpanId === null ? {} : { parentSpanId }),
    name,
    kind: KINDS[kind],
    startTimeUnixNano: nanoseconds(endMs - durationMs),
    endTimeUnixNano: nanoseconds(endMs),
    attributes: attributesOf({ ...span.attributes, 'error.type': error }),
    status: error === null ? {} : { code: STATUS_ERROR, message: error },
  }
}

function attributesOf(attributes: Readonly<Record<string, AttributeValue>>): object[] {
  return Object.entries(attributes).flatMap(([key, value]): object[] => {
    if (value === null || value === undefined) return []
    if (typeof value === 'string') return [{ key, value: { stringValue: value } }]
    if (typeof value === 'boolean') return [{ key, value: { boolValue: value } }]
    // int64 is text in the JSON of protobuf
    return Number.isSafeInteger(value)
      ? [{ key, value: { intValue: String(value) } }]
      : [{ key, value: { doubleValue: value } }]
  })
}

/** Of milliseconds, to a microsecond: a number of nanoseconds since the epoch is beyond what a double holds. */
function nanoseconds(ms: number): string {
  return `${Math.round(ms * 1000)}000`
}
