/**
 * The metrics of all workers as those of one gateway. Counters only grow: what a worker that has ended had counted when
 * it was last asked stays counted, and so does that of one that does not answer. Gauges are of those who answer.
 */
import { AggregatorRegistry, type MetricObject } from 'prom-client'

export interface MetricsGathering {
  /**
   * @param own of the supervisor
   * @param answers by worker process; null of one that did not answer
   */
  text(
    own: readonly MetricObject[],
    answers: ReadonlyMap<object, readonly MetricObject[] | null>,
  ): Promise<string>
  /** It has ended. */
  gone(worker: object): void
  readonly contentType: string
}

export function createMetricsGathering(): MetricsGathering {
  const lastCounts = new Map<object, readonly MetricObject[]>()
  const ended = new WeakSet<object>()
  /** Of those that have ended. */
  let past: readonly (readonly MetricObject[])[] = []

  return {
    contentType: AggregatorRegistry.PROMETHEUS_CONTENT_TYPE,
    async text(own, answers) {
      const now: (readonly MetricObject[])[] = [own]
      for (const [worker, metrics] of answers) {
        // since it answered; what it had counted before is among the past
        if (ended.has(worker)) continue
        if (metrics !== null) lastCounts.set(worker, metrics.filter(isCount))
        now.push(metrics ?? lastCounts.get(worker) ?? [])
      }
      const before = past
      const text = await sumOf([...now, ...before]).metrics()
      const sum = before.length < 2 ? before : [await sumOf(before).getMetricsAsJSON()]
      // unless somebody else has ended or been summed up meanwhile: then next time
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

function sumOf(all: readonly (readonly MetricObject[])[]) {
  return AggregatorRegistry.aggregate(all.map((one) => [...one]))
}

function isCount({ type }: MetricObject): boolean {
  const kind: string = String(type)
  return kind === 'counter' || kind === 'histogram'
}
