/** Memory, CPU time and event-loop lag of this process, read when somebody scrapes. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge, type Registry } from 'prom-client'

const RESOLUTION_MS = 20

/** Returns what ends the measuring. */
export function observeProcess(registry: Registry): () => void {
  const registers = [registry]
  const lag = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  lag.enable()
  new Gauge({
    name: 'clawmesh_event_loop_lag_seconds',
    help: 'How late the event loop was since the last scrape',
    labelNames: ['quantile'],
    aggregator: 'max',
    registers,
    collect() {
      // the histogram holds whole intervals; what exceeds the interval is lag
      const late = (ns: number) =>
        lag.count === 0 ? 0 : Math.max(0, ns / 1e9 - RESOLUTION_MS / 1e3)
      this.set({ quantile: '0.5' }, late(lag.percentile(50)))
      this.set({ quantile: '0.99' }, late(lag.percentile(99)))
      this.set({ quantile: '1' }, late(lag.max))
      lag.reset()
    },
  })
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
  return () => {
    lag.disable()
  }
}
