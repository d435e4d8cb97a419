/**
 * A histogram that costs a few array steps per observation; prom-client's own hashes its labels each time (0.5 µs,
 * several times per request). It is converted to prom-client's form at a scrape.
 */
import { Histogram, type Registry } from 'prom-client'
import type { Exemplar } from './metrics-format.ts'

export interface FastHistogramOptions {
  readonly name: string
  readonly help: string
  /** Upper bounds in ascending order, in seconds. */
  readonly bounds: readonly number[]
  /** One series per value of this label; without it, one series without a label. */
  readonly label?: { readonly name: string; readonly values: readonly string[] }
  readonly registry: Registry
}

/** Takes seconds. The latest trace id of each bucket is its exemplar. */
export type Observe = (seconds: number, traceId?: string | null) => void

/** Returns the function to call for each value of the label, or for '' without a label. */
export function createFastHistogram(options: FastHistogramOptions): ReadonlyMap<string, Observe> {
  const { bounds, label } = options
  const series = (label?.values ?? ['']).map((value) => ({
    value,
    counts: new Float64Array(bounds.length + 1),
    sum: 0,
    exemplars: new Array<Exemplar | null>(bounds.length + 1).fill(null),
  }))

  /** `get` of prom-client, which merges the counts of several processes, expects labels in two parts. */
  const bucket = (
    part: string,
    labels: Readonly<Record<string, string | number>>,
    value: number,
    exemplar: Exemplar | null = null,
  ) => ({
    metricName: `${options.name}_${part}`,
    sharedLabels: {},
    labels: { ...labels },
    value,
    ...(exemplar === null ? {} : { exemplar }),
  })
  const snapshot = () =>
    series.flatMap((one) => {
      const labels = label === undefined ? {} : { [label.name]: one.value }
      let total = 0
      const buckets = [...bounds, '+Inf'].map((le, i) => {
        total += one.counts[i] ?? 0
        return bucket('bucket', { ...labels, le }, total, one.exemplars[i])
      })
      return [...buckets, bucket('sum', labels, one.sum), bucket('count', labels, total)]
    })

  class FastHistogram extends Histogram {
    /** The registry prefers this to `get` where a metric has it, and `get` calls it too. */
    async getForPromString() {
      const { name, help } = options
      return { name, help, type: 'histogram', aggregator: 'sum', values: snapshot() }
    }
  }
  new FastHistogram({
    name: options.name,
    help: options.help,
    labelNames: label === undefined ? [] : [label.name],
    buckets: [...bounds],
    registers: [options.registry],
  })

  return new Map(
    series.map((one) => [
      one.value,
      (seconds: number, traceId: string | null = null) => {
        let i = 0
        while (i < bounds.length && seconds > (bounds[i] ?? 0)) i += 1
        one.counts[i] = (one.counts[i] ?? 0) + 1
        one.sum += seconds
        if (traceId !== null)
          one.exemplars[i] = { traceId, value: seconds, atSeconds: Date.now() / 1000 }
      },
    ]),
  )
}
