/** Memory, CPU time and event-loop lag of this process, read at a scrape, and whether it takes new work. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge, type Registry, Summary } from 'prom-client'

const RESOLUTION_MS = 20

/** Returns the function that stops the measuring. */
export function observeProcess(registry: Registry): () => void {
  const registers = [registry]
  const stopLag = observeLag(registry)
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory',
    registers,
    collect() {
      this.set(process.memoryUsage.rss())
    },
  })
  new Gauge({
    name: 'clawmesh_heap_used_bytes',
    help: 'JavaScript heap in use',
    registers,
    collect() {
      this.set(process.memoryUsage().heapUsed)
    },
  })
  new Gauge({
    name: 'process_start_time_seconds',
    help: 'When the process started, seconds since the epoch',
    aggregator: 'min',
    registers,
  }).set(Math.round(Date.now() / 1000 - process.uptime()))
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'User and system CPU time used',
    registers,
    collect() {
      const { user, system } = process.cpuUsage()
      this.reset()
      this.inc((user + system) / 1e6)
    },
  })
  return stopLag
}

export interface MemoryMetrics {
  /** Whether new work is refused, since memory is nearly used up. */
  overloaded(isOverloaded: boolean): void
}

export function createMemoryMetrics(registry: Registry): MemoryMetrics {
  const gauge = new Gauge({
    name: 'clawmesh_overloaded',
    help: '1 while new work is refused, since memory is nearly used up',
    aggregator: 'max',
    registers: [registry],
  })
  return { overloaded: (isOverloaded) => gauge.set(isOverloaded ? 1 : 0) }
}

/**
 * A summary from `monitorEventLoopDelay`, which already has the observations; prom-client's own would keep each of
 * them.
 */
function observeLag(registry: Registry): () => void {
  const name = 'clawmesh_event_loop_lag_seconds'
  const help = 'How late the event loop was since the last scrape'
  const lag = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  lag.enable()
  // the histogram contains whole intervals; lag is the excess
  const late = (ns: number) => Math.max(0, ns / 1e9 - RESOLUTION_MS / 1e3)
  let count = 0
  let sum = 0
  class EventLoopLag extends Summary {
    override async get() {
      const quantiles = [0.5, 0.99, 1].map((quantile) => ({
        metricName: name,
        labels: { quantile: String(quantile) },
        value: lag.count === 0 ? 0 : late(lag.percentile(quantile * 100)),
      }))
      count += lag.count
      if (lag.count > 0) sum += late(lag.mean) * lag.count
      lag.reset()
      const totals = [
        { metricName: `${name}_sum`, labels: {}, value: sum },
        { metricName: `${name}_count`, labels: {}, value: count },
      ]
      return { ...(await super.get()), values: [...quantiles, ...totals] }
    }
  }
  new EventLoopLag({ name, help, aggregator: 'max', registers: [registry] })
  return () => {
    lag.disable()
  }
}
