/** How long requests, calls and their parts take, and how many are open. */
import { Gauge, type Registry } from 'prom-client'
import { createFastHistogram, type Observe } from './fast-histogram.ts'
import type { Metrics, Plane } from './metrics-port.ts'

const PLANES: readonly Plane[] = ['egress', 'delegation']
const LATENCY_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60]
const VALIDATION_BOUNDS = [0.00001, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.1]

export function createRequestMetrics(
  registry: Registry,
): Pick<Metrics, 'active' | 'duration' | 'dns' | 'dial' | 'tokenValidation'> {
  const byPlane = (name: string, help: string) =>
    createFastHistogram({
      name,
      help,
      bounds: LATENCY_BOUNDS,
      label: { name: 'plane', values: PLANES },
      registry,
    })
  const durations = byPlane(
    'clawmesh_request_duration_seconds',
    'From the first byte of a request or call to its end',
  )
  const dns = byPlane('clawmesh_dns_duration_seconds', 'Time to resolve a name')
  const dials = byPlane(
    'clawmesh_dial_duration_seconds',
    'Time to connect to a destination or peer, TLS included',
  )
  const validation = createFastHistogram({
    name: 'clawmesh_token_validation_seconds',
    help: 'Time to verify an egress token',
    bounds: VALIDATION_BOUNDS,
    registry,
  }).get('')

  const open = { egress: 0, delegation: 0 }
  new Gauge({
    name: 'clawmesh_active',
    help: 'Tunnels, requests and streams that are open',
    labelNames: ['plane'],
    registers: [registry],
    collect() {
      for (const plane of PLANES) this.set({ plane }, open[plane])
    },
  })
  return {
    active: (plane, change) => {
      open[plane] += change
    },
    duration: observe(durations),
    dns: observe(dns),
    dial: observe(dials),
    tokenValidation: (seconds) => validation?.(seconds),
  }
}

function observe(map: ReadonlyMap<string, Observe>) {
  const egress = map.get('egress')
  const delegation = map.get('delegation')
  return (plane: Plane, seconds: number, traceId?: string | null) =>
    (plane === 'egress' ? egress : delegation)?.(seconds, traceId)
}
