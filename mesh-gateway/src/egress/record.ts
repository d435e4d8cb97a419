/**
 * The record of a request: one line of the audit log (the access log of this port) and one counted decision, when it
 * ends.
 */
import type { Log } from '@clawmesh/agent-sdk/mesh'
import {
  childTrace,
  type EgressClaims,
  formatTraceparent,
  lastTraceparent,
  parseTraceparent,
  startTrace,
} from '@clawmesh/proto'
import type { AuditLog, EgressAuditRecord, Phase } from '../audit/audit-record.ts'
import { DEFAULT_OPEN_AFTER_MS, ONLY_RECORD, OpenRecord } from '../audit/open-record.ts'
import { durationMs, isRequestId, requestIdOf } from '../audit/request-facts.ts'
import type { RequestSpans } from '../audit/request-spans.ts'
import type { GatedClient } from '../limits/connection-gate.ts'
import type { Metrics } from '../telemetry/metrics-port.ts'
import type { Admission } from './admit.ts'
import type { Field } from './http1/head.ts'
import type { PolicyView } from './policy-view.ts'
import type { Refused } from './refused.ts'
import type { Target } from './request.ts'

/** Where records go. */
export interface RecordContext {
  readonly audit: Pick<AuditLog, 'write' | 'openAfterMs'>
  readonly metrics: Pick<Metrics, 'decision' | 'duration'>
  readonly log: Pick<Log, 'error'>
  /** Null: spans are not exported. Default null. */
  readonly spans?: RequestSpans | null
  policy(): Pick<PolicyView, 'generation'>
}

/** The facts of a request from its first byte on. */
export interface RequestRecord {
  readonly client: GatedClient
  readonly requestId: string
  readonly traceId: string
  readonly traceparent: string
  /** Of the gateway's span. */
  readonly spanId: string
  /** Of the client's span, when it named the trace; null: the trace begins here. */
  readonly parentSpanId: string | null
  readonly method: string
  /** The path of an own endpoint; null where the target has the path. */
  readonly ownPath: string | null
  /** The claims of the token that an own endpoint was asked about. */
  readonly claims?: EgressClaims | null
  readonly startMs: number
}

export interface Outcome {
  /** The status sent; 0 when the client had left. */
  readonly status: number
  /** Why it was refused, failed or was cut; null on success. */
  readonly refused: Refused | null
  readonly ip: string | null
  readonly bytesUp: number
  readonly bytesDown: number
}

export function startRecord(
  method: string,
  fields: readonly Field[],
  client: GatedClient,
): RequestRecord {
  let requestId: string | undefined
  let traceparent: string | undefined
  for (const { name, value } of fields) {
    if (name === 'x-request-id') {
      if (requestId === undefined && isRequestId(value)) requestId = value
    } else if (name === 'traceparent') traceparent = lastTraceparent(traceparent, value)
  }
  const parent = parseTraceparent(traceparent)
  const trace = parent === null ? startTrace() : childTrace(parent)
  return {
    client,
    requestId: requestIdOf(requestId),
    traceId: trace.traceId,
    traceparent: formatTraceparent(trace),
    spanId: trace.parentId,
    parentSpanId: parent?.parentId ?? null,
    method,
    ownPath: null,
    startMs: performance.now(),
  }
}

/** The record of an admitted request while it is open, with the connected address. */
export class OpenRequestRecord extends OpenRecord {
  ip: string | null = null

  constructor(record: RequestRecord, target: Target, admission: Admission, context: RecordContext) {
    const dueMs = record.startMs + (context.audit.openAfterMs ?? DEFAULT_OPEN_AFTER_MS)
    super(dueMs, context.audit, (phase) => {
      const open = { ...OPEN, ip: this.ip }
      return recordOf(record, target, admission, open, phase, context)
    })
  }
}

const OPEN = Object.freeze({ status: null, refused: null, bytesUp: null, bytesDown: null })

/** An outcome, or the part of it that is known while the request is open. */
type Known = Outcome | (typeof OPEN & Pick<Outcome, 'ip'>)

/** @param opening the opening record of an admitted request */
export function writeRecord(
  record: RequestRecord,
  target: Target | null,
  admission: Admission | null,
  outcome: Outcome,
  context: RecordContext,
  opening: OpenRequestRecord | null = null,
): void {
  const phase = opening?.end() ?? ONLY_RECORD
  const written = recordOf(record, target, admission, outcome, phase, context)
  context.audit.write(written)
  context.spans?.ended(record, written)
  const code = written.reason ?? 'OK'
  const byAudit = admission?.decision?.action === 'audit'
  const action = !written.action_allowed ? 'deny' : byAudit ? 'audit' : 'allow'
  context.metrics.decision('egress', action, code, record.traceId)
  context.metrics.duration('egress', (performance.now() - record.startMs) / 1000, record.traceId)
  const error = outcome.refused?.error
  if (error?.code === 'MESH_GATEWAY_INTERNAL')
    context.log.error(
      { request_id: record.requestId, err: error.cause },
      'egress request failed inside',
    )
}

function recordOf(
  record: RequestRecord,
  target: Target | null,
  admission: Admission | null,
  outcome: Known,
  { phase, open_id }: Phase,
  context: Pick<RecordContext, 'policy'>,
): EgressAuditRecord {
  const { refused } = outcome
  const decision = admission?.decision ?? null
  // a request that policy allowed and the network failed counts as allowed, with an error
  const asked = record.ownPath !== null || (decision !== null && decision.action !== 'deny')
  const allowed = asked && (refused === null || !JUDGING_GATES.has(refused.gate))
  const code = refused?.error.code ?? decision?.code ?? null
  const claims = admission?.principal?.claims ?? record.claims
  return {
    event: 'egress',
    request_id: record.requestId,
    trace_id: record.traceId,
    tenant: admission?.principal?.agent.tenant ?? claims?.tenant ?? null,
    agent_id: admission?.principal?.agent.agent ?? claims?.agent_id ?? null,
    token_jti: claims?.jti ?? null,
    certificate: admission?.principal?.grounds.caller?.links[0]?.fingerprint ?? null,
    root_id: claims?.txn ?? null,
    chain: admission?.principal?.actors?.map((actor) => actor.id) ?? null,
    refused_actor:
      decision?.actor == null ? null : `${decision.actor.tenant}/${decision.actor.agent}`,
    destination_host: target?.host ?? null,
    destination_port: target?.port ?? null,
    destination_ip: outcome.ip,
    method: record.method,
    path: target?.path ?? record.ownPath,
    action_allowed: allowed,
    mode: decision?.mode ?? 'enforce',
    reason: code,
    rule: refused?.rule ?? decision?.rule ?? null,
    policy_generation: admission?.generation ?? context.policy().generation,
    duration_ms: durationMs(performance.now() - record.startMs),
    bytes_up: outcome.bytesUp,
    bytes_down: outcome.bytesDown,
    client_ip: record.client.ip,
    client_port: record.client.port,
    override: admission?.admitted?.question?.request?.override ?? null,
    status: outcome.status,
    phase,
    open_id,
  }
}

/** Gates that refuse a request. At the others an admitted request fails or is cut. */
const JUDGING_GATES: ReadonlySet<string> = Object.freeze(
  new Set(['syntax', 'gateway', 'credential', 'policy', 'limits', 'address', 'tls']),
)
