/**
 * A histogram that costs a few array steps per observation; prom-client's own hashes its labels each time (0.5 µs,
 * several times per request). It is turned into prom-client's form when somebody scrapes.
 */
import { Histogram, type Registry } from 'prom-client'
import type { Exemplar } from './metrics-format.ts'

export interface FastHistogramOptions {
  readonly name: string
  readonly help: string
  /** Upper bounds, rising, in seconds. */
  readonly bounds: readonly number[]
  /** One series for each value of this label; without it there is one series and no label. */
  readonly label?: { readonly name: string; readonly values: readonly string[] }
  readonly registry: Registry
}

/** Takes seconds. The latest trace id of each bucket is its exemplar. */
export type Observe = (seconds: number, traceId?: string | null) => void

/** Gives the function to call for each value of the label, or for '' when there is no label. */
export function createFastHistogram(options: FastHistogramOptions): ReadonlyMap<string, Observe> {
  const { bounds, label } = options
  const series = (label?.values ?? ['']).map((value) => ({
    value,
    counts: new Float64Array(bounds.length + 1),
    sum: 0,
    exemplars: new Array<Exemplar | null>(bounds.length + 1).fill(null),
  }))

  /** `get` of prom-client, which gathers what several processes have counted, expects labels in two parts. */
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
    /** What the registry calls in place of `get` where a metric has it, and what `get` calls. */
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
