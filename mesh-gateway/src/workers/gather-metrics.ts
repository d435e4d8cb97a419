/**
 * Merges the metrics of all workers into those of one gateway. Counters only grow: the last counts of a worker that has
 * ended, or does not answer, still count. Gauges come from the workers that answer.
 */
import { AggregatorRegistry } from 'prom-client'
import {
  type Exemplar,
  formatMetrics,
  type MetricsFormat,
  type Sample,
  type SampledMetric,
} from '../telemetry/metrics-format.ts'

export interface MetricsGathering {
  /**
   * @param own of the supervisor
   * @param answers by worker process; null for one that did not answer
   * @param format default: that of Prometheus
   */
  text(
    own: readonly SampledMetric[],
    answers: ReadonlyMap<object, readonly SampledMetric[] | null>,
    format?: MetricsFormat,
  ): Promise<string>
  /** To be called when the worker has ended. */
  gone(worker: object): void
}

export function createMetricsGathering(): MetricsGathering {
  const lastCounts = new Map<object, readonly SampledMetric[]>()
  const ended = new WeakSet<object>()
  /** Of ended workers. */
  let past: readonly (readonly SampledMetric[])[] = []

  return {
    async text(own, answers, format = 'prometheus') {
      const now: (readonly SampledMetric[])[] = [own]
      for (const [worker, metrics] of answers) {
        // ended after its answer: its counts are already among the past
        if (ended.has(worker)) continue
        if (metrics !== null) lastCounts.set(worker, metrics.filter(isCount))
        now.push(metrics ?? lastCounts.get(worker) ?? [])
      }
      const before = past
      const all: readonly SampledMetric[] = await sumOf([...now, ...before]).getMetricsAsJSON()
      const text = formatMetrics(withExemplars(all, now), format)
      const sum = before.length < 2 ? before : [await sumOf(before).getMetricsAsJSON()]
      // if another worker has ended or been merged meanwhile: next time
      if (past === before) past = sum
      return text
    },
    gone(worker) {
      ended.add(worker)
      const counts = lastCounts.get(worker)
      lastCounts.delete(worker)
      if (counts !== undefined) past = [...past, counts]
    },
  }
}

function sumOf(all: readonly (readonly SampledMetric[])[]) {
  return AggregatorRegistry.aggregate(all.map((one) => [...one]))
}

/** Sums have no exemplars: each bucket gets the latest one of a worker. */
function withExemplars(
  sums: readonly SampledMetric[],
  workers: readonly (readonly SampledMetric[])[],
): readonly SampledMetric[] {
  const latest = new Map<string, Exemplar>()
  for (const { name, values } of workers.flat())
    for (const sample of values) {
      const { exemplar } = sample
      const key = keyOf(name, sample)
      if (exemplar && exemplar.atSeconds > (latest.get(key)?.atSeconds ?? 0))
        latest.set(key, exemplar)
    }
  return sums.map((metric) => ({
    ...metric,
    values: metric.values.map((sample) => ({
      ...sample,
      exemplar: latest.get(keyOf(metric.name, sample)) ?? null,
    })),
  }))
}

function keyOf(name: string, { metricName = name, labels }: Sample): string {
  return JSON.stringify([metricName, Object.entries(labels).sort()])
}

function isCount({ type }: SampledMetric): boolean {
  const kind: string = String(type)
  return kind === 'counter' || kind === 'histogram'
}
