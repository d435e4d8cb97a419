/**
 * Opens the audit log, the access log of both ports: one JSON line for each egress request or delegated call when it
 * ends, and an earlier one for those that last long. Names and order of the fields are fixed (docs/reference/audit.md);
 * values from peers are escaped, so that a line stays a line.
 */
import type { Log } from '@clawmesh/agent-sdk/mesh'
import type { Metrics } from '../telemetry/metrics-port.ts'
import type { AuditLog, AuditRecord } from './audit-record.ts'
import { createLineWriter } from './line-writer.ts'
import { DEFAULT_OPEN_AFTER_MS } from './open-record.ts'
import type { RecentLines } from './recent-lines.ts'

export interface AuditLogOptions {
  /** A path, or `stdout`. */
  readonly file: string
  readonly metrics: Pick<Metrics, 'auditDropped'>
  /** Logs when writing begins to fail and when it works again. */
  readonly log: Pick<Log, 'error' | 'warn' | 'info'>
  /** How long a request is open before it gets an open record, in milliseconds. Default 5,000. */
  readonly openAfterMs?: number
  /** Other processes write to the same file. Default false. */
  readonly shared?: boolean
  /** True while the process that relays stdout can write. Default: no process relays it. */
  readonly passedOn?: () => boolean
  /** Gets each line. Default: none are kept. */
  readonly recent?: Pick<RecentLines, 'add'>
  /** As in LineWriterOptions; for tests. */
  readonly maxBufferBytes?: number
  readonly retryMs?: number
  readonly checkMs?: number
}

export interface AuditLogHandle extends AuditLog {
  /** To be called after logrotate has moved the file. */
  reopen(): Promise<void>
  /** Writes synchronously, at the end of a crashing process. */
  flushSync(): void
}

/** @throws MeshError MESH_DISK_WRITE when the file cannot be opened. */
export function openAuditLog(options: AuditLogOptions): AuditLogHandle {
  const { file, log, metrics, shared = false, passedOn = () => true } = options
  const writer = createLineWriter<Entry>({
    format: createFormat(options.recent),
    target: file === 'stdout' ? 1 : file,
    shared,
    ...(options.maxBufferBytes === undefined ? {} : { maxBufferBytes: options.maxBufferBytes }),
    ...(options.retryMs === undefined ? {} : { retryMs: options.retryMs }),
    ...(options.checkMs === undefined ? {} : { checkMs: options.checkMs }),
    onReplaced: (how) =>
      log.warn(
        { file, how },
        how === 'moved'
          ? 'the audit log was moved away without a signal; it goes on in a new file. Send SIGHUP after moving it'
          : 'the audit log was removed; it goes on in a new file, and what was written in the last second is gone with the old one',
      ),
    onDropped: () => metrics.auditDropped(),
    onHealth: (error) => {
      if (error === null) log.info({ file }, 'the audit log is written again')
      else log.error({ file, err: error }, 'the audit log cannot be written')
    },
  })
  return {
    openAfterMs: options.openAfterMs ?? DEFAULT_OPEN_AFTER_MS,
    write: (record, repeated) =>
      writer.write({ atMs: Date.now(), record, repeated: repeated ?? null }),
    healthy: () => writer.healthy() && (file !== 'stdout' || passedOn()),
    close: () => writer.close(),
    reopen: () => writer.reopen(),
    flushSync: () => writer.flushSync(),
  }
}

interface Entry {
  readonly atMs: number
  readonly record: AuditRecord
  /** Null for a record that is not a summary. */
  readonly repeated: number | null
}

/** Formats one JSON line per record, the time first. */
function createFormat(recent?: Pick<RecentLines, 'add'>): (entry: Entry) => string {
  let lastMs = Number.NaN
  let time = ''
  return ({ atMs, record, repeated }) => {
    if (atMs !== lastMs) time = new Date(atMs).toISOString()
    lastMs = atMs
    const line = `{"time":"${time}",${JSON.stringify(inOrder(record)).slice(1, -1)},"repeated":${repeated},"phase":${quoted(record.phase)},"open_id":${quoted(record.open_id)}}\n`
    recent?.add(record, line)
    return line
  }
}

function inOrder(record: AuditRecord): object {
  if (record.event === 'egress')
    return {
      event: record.event,
      request_id: record.request_id,
      trace_id: record.trace_id,
      tenant: record.tenant,
      agent_id: record.agent_id,
      token_jti: record.token_jti,
      destination_host: record.destination_host,
      destination_port: record.destination_port,
      destination_ip: record.destination_ip,
      method: record.method,
      path: record.path,
      action_allowed: record.action_allowed,
      mode: record.mode,
      reason: record.reason,
      rule: record.rule,
      policy_generation: record.policy_generation,
      duration_ms: record.duration_ms,
      bytes_up: record.bytes_up,
      bytes_down: record.bytes_down,
      status: record.status,
      root_id: record.root_id,
      chain: record.chain,
      refused_actor: record.refused_actor,
      certificate: record.certificate,
      client_ip: record.client_ip,
      client_port: record.client_port,
      override: record.override,
    }
  return {
    event: record.event,
    request_id: record.request_id,
    trace_id: record.trace_id,
    tenant: record.tenant,
    agent_id: record.agent_id,
    destination_host: record.destination_host,
    destination_port: record.destination_port,
    destination_ip: record.destination_ip,
    action_allowed: record.action_allowed,
    mode: record.mode,
    reason: record.reason,
    rule: record.rule,
    policy_generation: record.policy_generation,
    duration_ms: record.duration_ms,
    bytes_up: record.bytes_up,
    bytes_down: record.bytes_down,
    caller: record.caller,
    callee: record.callee,
    grpc_method: record.grpc_method,
    grpc_status: record.grpc_status,
    delegation_id: record.delegation_id,
    root_id: record.root_id,
    hop: record.hop,
    chain: record.chain,
    token_jti: record.token_jti,
    certificate: record.certificate,
    client_ip: record.client_ip,
    client_port: record.client_port,
    asked_from: record.asked_from,
    asked_to: record.asked_to,
    asked_method: record.asked_method,
    parent_id: record.parent_id,
  }
}

/** Quotes a word or an id of the gateway itself: nothing in it needs escaping. */
function quoted(text: string | null): string {
  return text === null ? 'null' : `"${text}"`
}
