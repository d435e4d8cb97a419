/** The supervisor's own metrics: its process, its workers, its configuration. */
import { Counter, Gauge, Registry } from 'prom-client'
import type { Metrics } from '../telemetry/metrics-port.ts'
import { observeProcess } from '../telemetry/process-metrics.ts'
import { createReloadMetrics, type ReloadMetrics } from '../telemetry/reload-metrics.ts'

/** `silent`: it runs, and did not answer. */
export type WorkerState = 'ready' | 'starting' | 'waiting' | 'silent'

export interface SupervisorMetrics extends ReloadMetrics {
  readonly registry: Registry
  /** Sets the number of workers in each state. */
  workers(counts: Readonly<Record<WorkerState, number>>): void
  restarted(): void
  auditDropped(): void
  readonly connectionRefused: Metrics['connectionRefused']
  close(): void
}

export function createSupervisorMetrics(): SupervisorMetrics {
  const registry = new Registry()
  const registers = [registry]
  const stopProcess = observeProcess(registry)
  const workers = new Gauge({
    name: 'clawmesh_workers',
    help: 'Worker processes, by state; silent ones run and did not answer',
    labelNames: ['state'],
    registers,
  })
  const restarts = new Counter({
    name: 'clawmesh_worker_restarts_total',
    help: 'Workers that ended and were started again',
    registers,
  })
  const dropped = new Counter({
    name: 'clawmesh_audit_dropped_total',
    help: 'Audit records lost because they could not be written',
    registers,
  })
  const refused = new Counter({
    name: 'clawmesh_connections_refused_total',
    help: 'Connections that were not taken or were cut, by what was wrong with them',
    labelNames: ['plane', 'reason'],
    registers,
  })
  return {
    registry,
    ...createReloadMetrics(registry),
    workers(counts) {
      for (const [state, count] of Object.entries(counts)) workers.set({ state }, count)
    },
    restarted: () => restarts.inc(),
    auditDropped: () => dropped.inc(),
    connectionRefused: (plane, reason) => refused.inc({ plane, reason }),
    close: stopProcess,
  }
}
