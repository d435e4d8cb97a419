/** Connections that were refused, streams that were cut, and answers of DNS that were used though they were old. */
import { Counter, type Registry } from 'prom-client'
import type { Metrics } from './metrics-port.ts'

export function createFaultMetrics(
  registry: Registry,
): Pick<Metrics, 'connectionRefused' | 'cut' | 'dnsStale'> {
  const registers = [registry]
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
  // a series from the start: an increase from nothing to 1 would be none
  stale.inc({ plane: 'delegation' }, 0)
  const cuts = new Counter({
    name: 'clawmesh_streams_cut_total',
    help: 'Live streams and tunnels ended for what changed after they were let through',
    labelNames: ['plane', 'reason'],
    registers,
  })
  return {
    connectionRefused: (plane, reason) => refusedConnections.inc({ plane, reason }),
    dnsStale: (plane) => stale.inc({ plane }),
    cut: (plane, reason) => cuts.inc({ plane, reason }),
  }
}
