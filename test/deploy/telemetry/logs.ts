/** Two logs as they are written in production: the audit log by the gateway's own writer, and OpenClaw's. */

import { execFile } from 'node:child_process'
import { appendFile, mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { openAuditLines, traceOf } from '../../mesh-gateway/audit/audit-lines.ts'
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

export async function openLogs(dir: string): Promise<Logs> {
  const [gatewayLogs, openclawLogs] = [join(dir, 'clawmesh'), join(dir, 'openclaw')]
  for (const each of [gatewayLogs, openclawLogs]) await mkdir(each, { recursive: true })
  const audit = openAuditLines(join(gatewayLogs, 'audit.log'), MESH_AGENT_ID)
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
        audit.write(written)
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
