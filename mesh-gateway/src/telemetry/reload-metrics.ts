/** What is told about everything that is read anew while the process runs. */
import { Counter, Gauge, type Registry } from 'prom-client'
import type { Metrics, Reloadable } from './metrics-port.ts'

export function createReloadMetrics(registry: Registry): Metrics['reload'] {
  const registers = [registry]
  const labelNames = ['what'] as const
  const success = new Gauge({
    name: 'clawmesh_reload_last_success',
    help: '1 when the latest reload worked, 0 when the last good one was kept',
    labelNames,
    aggregator: 'min',
    registers,
  })
  const generation = new Gauge({
    name: 'clawmesh_reload_generation',
    help: 'Grows by one with each change that was taken over',
    labelNames,
    aggregator: 'max',
    registers,
  })
  const total = new Counter({
    name: 'clawmesh_reloads_total',
    help: 'Reloads tried, by result',
    labelNames: ['what', 'result'],
    registers,
  })
  return (what: Reloadable, ok, newGeneration) => {
    success.set({ what }, ok ? 1 : 0)
    generation.set({ what }, newGeneration)
    total.inc({ what, result: ok ? 'ok' : 'failed' })
  }
}
