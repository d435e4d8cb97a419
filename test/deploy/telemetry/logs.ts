/** Two logs as they are written in production: the audit log by the gateway's own writer, and OpenClaw's. */

import { execFile } from 'node:child_process'
import { appendFile, mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { silentLog } from '@clawmesh/agent-sdk'
import type { EgressAuditRecord } from '../../../mesh-gateway/src/audit/audit-record.ts'
import { openAuditLog } from '../../../mesh-gateway/src/audit/open-audit-log.ts'
import { shipped } from '../shipped.ts'
import { MESH_AGENT_ID } from './shippers.ts'

export interface Logs {
  readonly gatewayLogs: string
  readonly openclawLogs: string
  /** So many further lines in each. */
  write(count: number): Promise<void>
  /** Both are rotated: one by logrotate, the other as OpenClaw does it. */
  rotate(): Promise<void>
  close(): Promise<void>
}

/** One request in so many is refused; the path of one in so many is long. */
export const REFUSED_EVERY = 1_000
const LONG_EVERY = 500
const LONG = `/${'x'.repeat(16_000)}`

export async function openLogs(dir: string): Promise<Logs> {
  const [gatewayLogs, openclawLogs] = [join(dir, 'clawmesh'), join(dir, 'openclaw')]
  for (const each of [gatewayLogs, openclawLogs]) await mkdir(each, { recursive: true })
  const file = join(gatewayLogs, 'audit.log')
  const metrics = { auditDropped: () => {} }
  const audit = openAuditLog({ file, log: silentLog, metrics })
  const openclaw = (part: string) => join(openclawLogs, `openclaw-2026-11-30${part}.log`)
  const logrotate = join(dir, 'logrotate.conf')
  await writeFile(
    logrotate,
    await shipped('telemetry/logrotate.conf', {
      '/var/log/clawmesh': gatewayLogs,
      'systemctl kill --signal=HUP clawmesh-gateway': 'true',
      'systemctl kill --signal=HUP ulogd2': 'true',
    }),
    { mode: 0o600 },
  )
  let [written, archives] = [0, 0]
  return {
    ...{ gatewayLogs, openclawLogs },
    async write(count) {
      const lines: string[] = []
      for (const end = written + count; written < end; written += 1) {
        audit.write(recordOf(written))
        lines.push(`${JSON.stringify(openclawLineOf(written))}\n`)
      }
      await appendFile(openclaw(''), lines.join(''))
    },
    async rotate() {
      // what was written is in the file: the signal of a gateway has this effect after the lines before it
      await audit.reopen()
      const args = ['--force', '--state', join(dir, 'logrotate.state'), logrotate]
      await promisify(execFile)('logrotate', args)
      await audit.reopen()
      for (let n = archives; n > 0; n -= 1) await rename(openclaw(`.${n}`), openclaw(`.${n + 1}`))
      await rename(openclaw(''), openclaw('.1'))
      archives += 1
    },
    close: () => audit.close(),
  }
}

export function traceOf(n: number): string {
  return (n + 1).toString(16).padStart(32, '0')
}

function recordOf(n: number): EgressAuditRecord {
  const refused = n % REFUSED_EVERY === 7
  return {
    ...{ event: 'egress', request_id: `request-${n}`, trace_id: traceOf(n) },
    ...{ tenant: 'acme', agent_id: MESH_AGENT_ID, token_jti: 'j1' },
    ...{ destination_host: 'api.example.com', destination_port: 443, destination_ip: '192.0.2.1' },
    ...{ method: 'GET', path: n % LONG_EVERY === 3 ? LONG : `/items/${n}` },
    ...{ action_allowed: !refused, mode: 'enforce', rule: null, policy_generation: 3 },
    reason: refused ? 'MESH_POLICY_NOT_ALLOWED' : null,
    ...{ duration_ms: 12.345, bytes_up: 1, bytes_down: 2, status: refused ? 403 : 200 },
    ...{ root_id: null, chain: ['spiffe://mesh.internal/tenant/acme/agent/planner'] },
    ...{ refused_actor: null, certificate: 'ab', client_ip: '10.77.0.2', client_port: 40_000 },
    ...{ phase: null, open_id: null },
  }
}

/** As OpenClaw 2026.9.6 writes them. */
function openclawLineOf(n: number): object {
  const date = new Date().toISOString()
  const name = '{"subsystem":"agents/tools"}'
  const message = `tool web_fetch of run ${n} ended`
  return {
    ...{ '0': name, '1': { agentId: 'main', elapsedMs: 12 }, '2': message },
    _meta: {
      ...{ runtime: 'node', runtimeVersion: '24.21.0', hostname: 'vm', date },
      ...{ logLevelId: 3, logLevelName: 'INFO', name, parentNames: ['openclaw'] },
    },
    ...{ time: date.replace('Z', '+00:00'), hostname: 'vm', message, agent_id: 'main' },
    ...{ session_id: 'agent:main:main', traceId: traceOf(n), spanId: '00f067aa0ba902b7' },
    traceFlags: '01',
  }
}
