/** What is told about the export of spans. */
import { Counter, type Registry } from 'prom-client'

export interface SpanMetrics {
  spans(outcome: 'exported' | 'dropped', count: number): void
}

export function createSpanMetrics(registry: Registry): SpanMetrics {
  const spans = new Counter({
    name: 'clawmesh_spans_total',
    help: 'Spans of requests and calls that a collector has taken, or that were dropped',
    labelNames: ['result'],
    registers: [registry],
  })
  return { spans: (result, count) => spans.inc({ result }, count) }
}
