/** Metrics of everything that is reloaded while the process runs. */
import { MeshError } from '@clawmesh/proto'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { Metrics, Reloadable } from './metrics-port.ts'

/** Something whose latest reload failed; its last good version is in force. */
export interface FailedReload {
  readonly what: Reloadable
  readonly reason: string
}

export interface ReloadMetrics extends Pick<Metrics, 'reload'> {
  /** In the order of their first reading. */
  failedReloads(): readonly FailedReload[]
}

export function createReloadMetrics(registry: Registry): ReloadMetrics {
  const registers = [registry]
  const labelNames = ['what'] as const
  /** Null: the latest reload succeeded. */
  const latest = new Map<Reloadable, FailedReload | null>()
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
  return {
    reload(what, ok, newGeneration, error) {
      success.set({ what }, ok ? 1 : 0)
      generation.set({ what }, newGeneration)
      total.inc({ what, result: ok ? 'ok' : 'failed' })
      latest.set(what, ok ? null : { what, reason: reasonOf(error) })
    },
    failedReloads: () => [...latest.values()].filter((one) => one !== null),
  }
}

/** Only the message of a MeshError is safe to show; a system error may contain anything. */
function reasonOf(error: unknown): string {
  const why = error instanceof MeshError ? `: ${error.message}` : ''
  return `the latest reload failed, the last good one is in force${why}`
}
