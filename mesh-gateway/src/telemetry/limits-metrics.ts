/** Metrics of the store in which gateways share limits. */
import { Counter, Gauge, type Registry } from 'prom-client'

export interface LimitsMetrics {
  limitsStore(up: boolean): void
  /** Reports that a limit was judged while the store was unavailable. */
  limitsWithoutStore(answer: 'refuse' | 'local'): void
}

export function createLimitsMetrics(registry: Registry): LimitsMetrics {
  const registers = [registry]
  const up = new Gauge({
    name: 'clawmesh_limits_store_up',
    help: '1 while the Redis that gateways count in answers, 0 while it is away; no sample without one',
    labelNames: ['store'],
    aggregator: 'min',
    registers,
  })
  const without = new Counter({
    name: 'clawmesh_limits_without_store_total',
    help: 'Limits judged while Redis was away, by what was done: refuse or local',
    labelNames: ['answer'],
    registers,
  })
  return {
    limitsStore(isUp) {
      up.set({ store: 'redis' }, isUp ? 1 : 0)
      // a series from the start: an increase from nothing to 1 would be none
      for (const answer of ['refuse', 'local']) without.inc({ answer }, 0)
    },
    limitsWithoutStore: (answer) => without.inc({ answer }),
  }
}
