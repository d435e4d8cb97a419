/**
 * The two text formats of metrics: that of Prometheus (0.0.4), and OpenMetrics 1.0, which alone has exemplars.
 * prom-client writes OpenMetrics too, but it permanently removes `_total` from the names of counters, and loses
 * exemplars when it merges the metrics of several processes.
 */
import type { MetricObject } from 'prom-client'

export type MetricsFormat = 'prometheus' | 'openmetrics'

/** A request or call in a bucket, or the latest counted one (OpenMetrics 1.0, "Exemplars"). */
export interface Exemplar {
  readonly traceId: string
  /** The observed value, in the unit of the metric; 1 for a counter. */
  readonly value: number
  /** Seconds since the epoch. */
  readonly atSeconds: number
}

export interface Sample {
  /** For a part of a histogram or summary, e.g. `x_bucket`. Default: the name of the metric. */
  readonly metricName?: string
  readonly labels: Readonly<Partial<Record<string, string | number>>>
  readonly value: number
  readonly exemplar?: Exemplar | null
}

/** One metric with its samples, in the form of `getMetricsAsJSON` of a registry. */
export interface SampledMetric extends Pick<MetricObject, 'name' | 'help' | 'type' | 'aggregator'> {
  readonly values: readonly Sample[]
}

export const METRICS_CONTENT_TYPES: Readonly<Record<MetricsFormat, string>> = Object.freeze({
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
})

/**
 * The format that a scraper prefers (RFC 9110, section 12.5.1). A client that does not name OpenMetrics, such as curl,
 * gets the format of Prometheus.
 */
export function metricsFormatFor(accept: string | undefined): MetricsFormat {
  const weightOf = (type: RegExp) =>
    Math.max(
      0,
      ...(accept ?? '').split(',').flatMap((range) => {
        const [name = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase())
        if (!type.test(name)) return []
        // other versions of OpenMetrics are not supported
        if (parameters.some((one) => /^version=(?!1\.0\.0$|0\.0\.[14]$)/.test(one))) return []
        const weight = Number(parameters.find((one) => one.startsWith('q='))?.slice(2) ?? 1)
        return Number.isFinite(weight) ? [weight] : []
      }),
    )
  const openmetrics = weightOf(/^application\/openmetrics-text$/)
  const prometheus = weightOf(/^(?:text\/plain|text\/\*|\*\/\*)$/)
  return openmetrics > 0 && openmetrics >= prometheus ? 'openmetrics' : 'prometheus'
}

export function formatMetrics(metrics: readonly SampledMetric[], format: MetricsFormat): string {
  const lines = metrics.flatMap((metric) => linesOf(metric, format))
  if (format === 'openmetrics') lines.push('# EOF')
  return `${lines.join('\n')}\n`
}

function linesOf({ name, help, type, values }: SampledMetric, format: MetricsFormat): string[] {
  const kind: string = String(type)
  const open = format === 'openmetrics'
  // in OpenMetrics the family of a counter has no `_total`; its samples have
  const family = open && kind === 'counter' ? name.replace(/_total$/, '') : name
  const sampleName = open && kind === 'counter' ? `${family}_total` : name
  return [
    `# HELP ${family} ${escapeText(help)}`,
    `# TYPE ${family} ${kind}`,
    ...values.map((sample) => {
      const labels = labelsOf(sample.labels, open)
      const line = `${sample.metricName ?? sampleName}${labels} ${numeral(sample.value)}`
      const { exemplar } = sample
      if (!open || exemplar === undefined || exemplar === null) return line
      const { traceId, value, atSeconds } = exemplar
      return `${line} # {trace_id="${escapeLabel(traceId)}"} ${numeral(value)} ${atSeconds.toFixed(3)}`
    }),
  ]
}

/** OpenMetrics writes bounds and quantiles as floating point numbers: `1.0`. */
function labelsOf(labels: Sample['labels'], open: boolean): string {
  const parts = Object.entries(labels).flatMap(([name, value]) => {
    if (value === undefined) return []
    const bound = open && name === 'le' && Number.isInteger(Number(value))
    return [`${name}="${bound ? `${value}.0` : escapeLabel(String(value))}"`]
  })
  return parts.length === 0 ? '' : `{${parts.join(',')}}`
}

function numeral(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value)
}

function escapeText(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}

function escapeLabel(text: string): string {
  return escapeText(text).replaceAll('"', '\\"')
}
