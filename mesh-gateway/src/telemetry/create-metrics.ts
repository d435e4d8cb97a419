/**
 * The metrics of one gateway, for Prometheus. The data planes add to plain numbers; text is made when somebody asks.
 * Each gateway has its own registry, so that two in one process do not mix. `aggregator` says what becomes of a gauge
 * where several processes share the ports; the default is their sum.
 */
import { Counter, Gauge, Registry } from 'prom-client'
import { VERSION } from '../version.ts'
import { createDecisionMetrics } from './decision-metrics.ts'
import { createFastHistogram, type Observe } from './fast-histogram.ts'
import { createIssuerMetrics, type IssuerMetrics } from './issuer-metrics.ts'
import { createLimitsMetrics, type LimitsMetrics } from './limits-metrics.ts'
import { formatMetrics, type MetricsFormat, type SampledMetric } from './metrics-format.ts'
import type { Metrics, Plane } from './metrics-port.ts'
import { createPolicyMetrics } from './policy-metrics.ts'
import { observeProcess } from './process-metrics.ts'
import { createReloadMetrics, type ReloadMetrics } from './reload-metrics.ts'

export interface MetricsHandle extends Metrics, LimitsMetrics, IssuerMetrics, ReloadMetrics {
  readonly registry: Registry
  samples(): Promise<readonly SampledMetric[]>
  /** @param format default that of Prometheus */
  text(format?: MetricsFormat): Promise<string>
  /** Stops measuring the event loop. */
  close(): void
}

const PLANES: readonly Plane[] = ['egress', 'delegation']
const LATENCY_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60]
const VALIDATION_BOUNDS = [0.00001, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.1]

export function createMetrics(): MetricsHandle {
  const registry = new Registry()
  const registers = [registry]
  const stopProcess = observeProcess(registry)
  new Gauge({
    name: 'clawmesh_build_info',
    help: 'Always 1: the versions of the gateway and of Node are its labels',
    labelNames: ['version', 'node'],
    aggregator: 'max',
    registers,
  }).set({ version: VERSION, node: process.versions.node }, 1)
  const decisions = createDecisionMetrics(registry)
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
    registers,
    collect() {
      for (const plane of PLANES) this.set({ plane }, open[plane])
    },
  })
  let dropped = 0
  new Counter({
    name: 'clawmesh_audit_dropped_total',
    help: 'Audit records lost because they could not be written',
    registers,
    collect() {
      this.reset()
      this.inc(dropped)
    },
  })
  let folded = 0
  new Counter({
    name: 'clawmesh_audit_folded_total',
    help: 'Refusals that repeat, told by a summary in the audit log instead of a record each',
    registers,
    collect() {
      this.reset()
      this.inc(folded)
    },
  })
  const refusedConnections = new Counter({
    name: 'clawmesh_connections_refused_total',
    help: 'Connections that were not taken or were cut, by what was wrong with them',
    labelNames: ['plane', 'reason'],
    registers,
  })
  const stale = new Counter({
    name: 'clawmesh_dns_stale_total',
    help: 'Answers of DNS that were used beyond their TTL, since DNS did not answer',
    labelNames: ['plane'],
    registers,
  })
  const cuts = new Counter({
    name: 'clawmesh_streams_cut_total',
    help: 'Live streams and tunnels ended for what changed after they were let through',
    labelNames: ['plane', 'reason'],
    registers,
  })
  const nextUpdate = new Gauge({
    name: 'clawmesh_crl_next_update_seconds',
    help: 'When the list of revoked certificates must have been replaced, seconds since the epoch',
    aggregator: 'min',
    registers,
  })
  const revocations = new Gauge({
    name: 'clawmesh_revocations',
    help: "Entries of the gateway's own list, by those who made them: agents have shares",
    labelNames: ['by'],
    aggregator: 'max',
    registers,
  })
  const reloads = createReloadMetrics(registry)
  const notAfter = new Gauge({
    name: 'clawmesh_certificate_not_after_seconds',
    help: 'When the certificate of the gateway expires, seconds since the epoch',
    aggregator: 'min',
    registers,
  })

  const observe = (map: ReadonlyMap<string, Observe>) => {
    const egress = map.get('egress')
    const delegation = map.get('delegation')
    return (plane: Plane, seconds: number, traceId?: string | null) =>
      (plane === 'egress' ? egress : delegation)?.(seconds, traceId)
  }
  return {
    registry,
    samples: () => registry.getMetricsAsJSON(),
    text: async (format = 'prometheus') => formatMetrics(await registry.getMetricsAsJSON(), format),
    close: stopProcess,
    ...createLimitsMetrics(registry),
    ...createIssuerMetrics(registry),
    decision: decisions,
    active: (plane, change) => {
      open[plane] += change
    },
    duration: observe(durations),
    dns: observe(dns),
    dial: observe(dials),
    dnsStale: (plane) => stale.inc({ plane }),
    tokenValidation: (seconds) => validation?.(seconds),
    ...reloads,
    brokenPolicy: createPolicyMetrics(registry),
    certificateNotAfter: (epochSeconds) => notAfter.set(epochSeconds),
    revocations: (byOperators, byAgents) => {
      revocations.set({ by: 'operators' }, byOperators)
      revocations.set({ by: 'agents' }, byAgents)
    },
    crlNextUpdate: (epochSeconds) => nextUpdate.set(epochSeconds),
    cut: (plane, reason) => cuts.inc({ plane, reason }),
    connectionRefused: (plane, reason) => refusedConnections.inc({ plane, reason }),
    auditFolded: () => {
      folded += 1
    },
    auditDropped: () => {
      dropped += 1
    },
  }
}
