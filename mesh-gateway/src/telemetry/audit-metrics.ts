/** What is told about the audit log. */
import { Counter, type Registry } from 'prom-client'
import type { Metrics } from './metrics-port.ts'

export function createAuditMetrics(
  registry: Registry,
): Pick<Metrics, 'auditDropped' | 'auditFolded'> {
  const registers = [registry]
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
  return {
    auditFolded: () => {
      folded += 1
    },
    auditDropped: () => {
      dropped += 1
    },
  }
}
