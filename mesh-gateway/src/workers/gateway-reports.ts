/** The reports of a gateway of several processes, for its admin port: made from those of its workers for each request. */
import type { FactsSource } from '../admin/api/facts.ts'
import type { Missing, StatusRow } from '../admin/status-page.ts'
import type { LiveConfig } from '../config/live-config.ts'
import type { LocalCounting } from '../limits/open-limits.ts'
import { type AgentOf, agentNames } from '../recorded/recorded-case.ts'
import type { MetricsFormat } from '../telemetry/metrics-format.ts'
import { factsOfWorkers } from './ask-workers.ts'
import { collectReports, degradedOf, describeWorkers, missingOf } from './collect-reports.ts'
import { createMetricsGathering } from './gather-metrics.ts'
import type { KeptWorker } from './keep-workers.ts'
import type { SupervisorMetrics } from './supervisor-metrics.ts'

export interface GatewayReports {
  /** What the admin port shows. */
  readonly view: {
    /** The gateway's own names, which the admin port may be asked by. */
    readonly names: () => readonly string[]
    readonly missing: () => Promise<readonly Missing[]>
    readonly degraded: () => Promise<readonly Missing[]>
    readonly status: () => Promise<readonly StatusRow[]>
    readonly metrics: { readonly text: (format: MetricsFormat) => Promise<string> }
    readonly facts: FactsSource
    readonly agentOf: () => AgentOf
  }
  /** As a worker has told them. */
  setNames(names: readonly string[]): void
  /** The gateway is not ready from now on. */
  drain(): void
  /** A worker has ended: what it has counted stays counted. */
  gone(link: object): void
}

export interface GatewayReportsOptions {
  readonly running: () => readonly KeptWorker[]
  readonly live: Pick<LiveConfig, 'current'>
  /** Counts limits for all workers. */
  readonly counting: Pick<LocalCounting, 'usage'>
  readonly metrics: Pick<SupervisorMetrics, 'failedReloads' | 'workers' | 'registry'>
}

export function createGatewayReports(options: GatewayReportsOptions): GatewayReports {
  const { running, live, counting, metrics } = options
  const gathering = createMetricsGathering()
  let names: readonly string[] = []
  let draining = false

  const ask = async () => {
    const reports = await collectReports(running())
    names = reports.names ?? names
    return reports
  }
  const view: GatewayReports['view'] = {
    names: () => [...live.current().delegation.names, ...names],
    async missing() {
      const found = missingOf(await ask())
      if (!draining) return found
      // workers that know already report it themselves
      const others = found.filter(({ what }) => what !== 'draining')
      return [...others, { what: 'draining', reason: 'the gateway is shutting down' }]
    },
    degraded: async () => [...metrics.failedReloads(), ...degradedOf(await ask())],
    status: async () => describeWorkers(await ask()),
    facts: factsOfWorkers(running, counting),
    agentOf: () => agentNames(live.current().spiffe.agentPath),
    metrics: {
      async text(format) {
        const answers = await ask()
        metrics.workers(answers.counts)
        const own = await metrics.registry.getMetricsAsJSON()
        return await gathering.text(own, answers.metrics, format)
      },
    },
  }
  return {
    view,
    setNames(next) {
      names = next
    },
    drain() {
      draining = true
    },
    gone: (link) => gathering.gone(link),
  }
}
