/** Counts the decisions on requests and calls, by result. The latest trace of each series is its exemplar. */
import { Counter, type Registry } from 'prom-client'
import type { Exemplar } from './metrics-format.ts'
import type { Metrics, Plane } from './metrics-port.ts'

/** Bounds the labels, in case a plane passes an unknown reason. */
const MAX_SERIES = 1000

interface Series {
  readonly labels: { readonly plane: Plane; readonly action: string; readonly reason: string }
  value: number
  exemplar: Exemplar | null
}

export function createDecisionMetrics(registry: Registry): Metrics['decision'] {
  const all = new Map<string, Series>()
  class Decisions extends Counter {
    override async get() {
      const values = [...all.values()].map(({ labels, value, exemplar }) => ({
        labels: { ...labels },
        value,
        ...(exemplar === null ? {} : { exemplar }),
      }))
      return { ...(await super.get()), values }
    }
  }
  new Decisions({
    name: 'clawmesh_decisions_total',
    help: 'Requests and calls that ended, by what was decided and why',
    labelNames: ['plane', 'action', 'reason'],
    registers: [registry],
  })
  const seriesOf = (plane: Plane, action: string, reason: string): Series => {
    const key = `${plane}|${action}|${reason}`
    const known = all.get(key)
    if (known !== undefined) return known
    if (all.size >= MAX_SERIES && reason !== 'other') return seriesOf(plane, action, 'other')
    const series = { labels: { plane, action, reason }, value: 0, exemplar: null }
    all.set(key, series)
    return series
  }
  return (plane, action, reason, traceId = null) => {
    const series = seriesOf(plane, action, reason)
    series.value += 1
    if (traceId !== null) series.exemplar = { traceId, value: 1, atSeconds: Date.now() / 1000 }
  }
}
