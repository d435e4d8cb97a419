/** What is told about the lists of what is revoked. */
import { Gauge, type Registry } from 'prom-client'
import type { Metrics } from './metrics-port.ts'

export function createRevocationMetrics(
  registry: Registry,
): Pick<Metrics, 'crlNextUpdate' | 'revocations'> {
  const registers = [registry]
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
  return {
    crlNextUpdate: (epochSeconds) => nextUpdate.set(epochSeconds),
    revocations: (byOperators, byAgents) => {
      revocations.set({ by: 'operators' }, byOperators)
      revocations.set({ by: 'agents' }, byAgents)
    },
  }
}
