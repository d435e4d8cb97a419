/** Lines of an audit log by the gateway's own writer, for tests of what reads them. */
import { silentLog } from '@clawmesh/agent-sdk'
import type { EgressAuditRecord } from '../../../mesh-gateway/src/audit/audit-record.ts'
import { openAuditLog } from '../../../mesh-gateway/src/audit/open-audit-log.ts'

export interface AuditLines {
  /** A line for the request of this number. */
  write(n: number): void
  /** As a gateway does at SIGHUP. Resolves when all before is on disk. */
  reopen(): Promise<void>
  close(): Promise<void>
}

/** One request in so many is refused; the path of one in so many is long. */
export const REFUSED_EVERY = 1_000
const LONG_EVERY = 500
const LONG = `/${'x'.repeat(16_000)}`

export function openAuditLines(file: string, agent: string): AuditLines {
  const audit = openAuditLog({ file, log: silentLog, metrics: { auditDropped: () => {} } })
  return {
    write: (n) => audit.write(recordOf(n, agent)),
    reopen: () => audit.reopen(),
    close: () => audit.close(),
  }
}

export function traceOf(n: number): string {
  return (n + 1).toString(16).padStart(32, '0')
}

function recordOf(n: number, agent: string): EgressAuditRecord {
  const refused = n % REFUSED_EVERY === 7
  return {
    ...{ event: 'egress', request_id: `request-${n}`, trace_id: traceOf(n) },
    ...{ tenant: 'acme', agent_id: agent, token_jti: 'j1' },
    ...{ destination_host: 'api.example.com', destination_port: 443, destination_ip: '192.0.2.1' },
    ...{ method: 'GET', override: null, path: n % LONG_EVERY === 3 ? LONG : `/items/${n}` },
    ...{ action_allowed: !refused, mode: 'enforce', rule: null, policy_generation: 3 },
    reason: refused ? 'MESH_POLICY_NOT_ALLOWED' : null,
    ...{ duration_ms: 12.345, bytes_up: 1, bytes_down: 2, status: refused ? 403 : 200 },
    ...{ root_id: null, chain: ['spiffe://mesh.internal/tenant/acme/agent/planner'] },
    ...{ refused_actor: null, certificate: 'ab', client_ip: '10.77.0.2', client_port: 40_000 },
    ...{ phase: null, open_id: null },
  }
}
