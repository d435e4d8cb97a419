/**
 * The metrics of one gateway, for Prometheus. The data planes only add to numbers; text is made at a scrape. Each
 * gateway has its own registry, so that two in one process do not mix. `aggregator` says how gauges of several
 * processes are merged; the default is their sum.
 */
import { Gauge, Registry } from 'prom-client'
import { VERSION } from '../version.ts'
import { createAuditMetrics } from './audit-metrics.ts'
import { createDecisionMetrics } from './decision-metrics.ts'
import { createFaultMetrics } from './fault-metrics.ts'
import { createIssuerMetrics, type IssuerMetrics } from './issuer-metrics.ts'
import { createLimitsMetrics, type LimitsMetrics } from './limits-metrics.ts'
import { formatMetrics, type MetricsFormat, type SampledMetric } from './metrics-format.ts'
import type { Metrics } from './metrics-port.ts'
import { createPolicyMetrics } from './policy-metrics.ts'
import { createMemoryMetrics, type MemoryMetrics, observeProcess } from './process-metrics.ts'
import { createReloadMetrics, type ReloadMetrics } from './reload-metrics.ts'
import { createRequestMetrics } from './request-metrics.ts'
import { createRevocationMetrics } from './revocation-metrics.ts'
import { createSpanMetrics, type SpanMetrics } from './span-metrics.ts'

export interface MetricsHandle
  extends Metrics,
    LimitsMetrics,
    IssuerMetrics,
    ReloadMetrics,
    MemoryMetrics,
    SpanMetrics {
  readonly registry: Registry
  samples(): Promise<readonly SampledMetric[]>
  /** @param format default: that of Prometheus */
  text(format?: MetricsFormat): Promise<string>
  /** Stops measuring the event loop. */
  close(): void
}

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
  const requests = createRequestMetrics(registry)
  const audit = createAuditMetrics(registry)
  const faults = createFaultMetrics(registry)
  const revocations = createRevocationMetrics(registry)
  const reloads = createReloadMetrics(registry)
  const notAfter = new Gauge({
    name: 'clawmesh_certificate_not_after_seconds',
    help: 'When the certificate of the gateway expires, seconds since the epoch',
    aggregator: 'min',
    registers,
  })

  return {
    registry,
    samples: () => registry.getMetricsAsJSON(),
    text: async (format = 'prometheus') => formatMetrics(await registry.getMetricsAsJSON(), format),
    close: stopProcess,
    ...createLimitsMetrics(registry),
    ...createIssuerMetrics(registry),
    ...createMemoryMetrics(registry),
    ...createSpanMetrics(registry),
    decision: decisions,
    ...requests,
    ...reloads,
    brokenPolicy: createPolicyMetrics(registry),
    certificateNotAfter: (epochSeconds) => notAfter.set(epochSeconds),
    ...revocations,
    ...faults,
    ...audit,
  }
}
