/** The record of a call: collects its facts, and writes the line of the audit log (the access log of this port). */
import type { PeerCertificate } from '@clawmesh/agent-sdk/mesh'
import { actorsOf, type DelegationClaims, ERRORS, type ErrorCode, uuidV7 } from '@clawmesh/proto'
import type { AuditLog, DelegationAuditRecord, Phase } from '../audit/audit-record.ts'
import { DEFAULT_OPEN_AFTER_MS, OpenRecord } from '../audit/open-record.ts'
import { durationMs as roundMs } from '../audit/request-facts.ts'
import type { RequestSpans } from '../audit/request-spans.ts'
import type { ClientAddress } from '../net/client-address.ts'
import type { DelegationDecision } from '../policy/decide/decision.ts'
import type { Call } from './call.ts'
import type { Outcome } from './carry/forwarding.ts'
import type { PresentedClaims } from './chain/chain-tokens.ts'
import type { OwnCall } from './own-services/own-calls.ts'
import type { Route } from './route.ts'
import type { Endpoint } from './upstream/locate.ts'
import type { UpstreamSession } from './upstream/session.ts'

/** Each field is null until it is known. */
export interface CallRecord {
  call: Call | null
  certificate: PeerCertificate | null
  readonly client: ClientAddress
  route: Route | null
  /** SPIFFE ID. */
  callee: string | null
  decision: DelegationDecision | null
  /** True once the call was forwarded to the callee: it was allowed, whatever ends it later. */
  letThrough: boolean
  session: UpstreamSession | null
  /** The peer's address that failed to connect, when none did. */
  tried: Endpoint | null
  /** At first the presented claims, then the claims of the token for the callee. */
  link: DelegationClaims | null
  /** The claims that the caller presented. */
  presented: PresentedClaims | null
  /** Facts from the gateway's own services, for a call to them. */
  own: OwnCall | null
}

export function startRecord(
  certificate: PeerCertificate | null,
  client: ClientAddress,
): CallRecord {
  return {
    call: null,
    certificate,
    client,
    route: null,
    callee: null,
    decision: null,
    letThrough: false,
    session: null,
    tried: null,
    link: null,
    presented: null,
    own: null,
  }
}

export interface Ending {
  /** Null while the call is open. */
  readonly outcome: Outcome | null
  readonly phase: Phase
  readonly durationMs: number
  readonly policyGeneration: number
}

/** Where the records of calls go. */
export interface RecordTargets {
  readonly audit: AuditLog
  /** Null: spans are not exported. Default null. */
  readonly spans?: RequestSpans | null
}

/** Writes the audit records of one call: one while it is open, if it lasts long, and one at its end. */
export class RecordWriter {
  readonly #call: CallRecord
  readonly #to: RecordTargets
  readonly #startedMs: number
  readonly #policyGeneration: number
  /** The registry of open calls writes it. */
  readonly opening: OpenRecord

  /** @param startedMs by `performance.now()` */
  constructor(record: CallRecord, to: RecordTargets, startedMs: number, policyGeneration: number) {
    const { audit } = to
    this.#call = record
    this.#to = to
    this.#startedMs = startedMs
    this.#policyGeneration = policyGeneration
    const dueMs = startedMs + (audit.openAfterMs ?? DEFAULT_OPEN_AFTER_MS)
    this.opening = new OpenRecord(dueMs, audit, (phase) => this.#compose(null, phase))
  }

  /** To be called once. Returns the record that it has written. */
  end(outcome: Outcome): DelegationAuditRecord {
    const record = this.#compose(outcome, this.opening.end())
    const { audit, spans = null } = this.#to
    audit.write(record)
    const { call } = this.#call
    if (spans !== null && call !== null) {
      const { traceId, parentId: spanId } = call.trace
      spans.ended({ traceId, spanId, parentSpanId: call.parentSpanId }, record)
    }
    return record
  }

  #compose(outcome: Outcome | null, phase: Phase): DelegationAuditRecord {
    const durationMs = performance.now() - this.#startedMs
    const policyGeneration = this.#policyGeneration
    return auditRecordOf(this.#call, { outcome, durationMs, policyGeneration, phase })
  }
}

/** Codes with which an admitted call may end before it is forwarded: they are no refusals. */
const NO_REFUSAL: ReadonlySet<string> = new Set(
  Object.keys(ERRORS).filter((code) => /^MESH_(?:PEER_(?!PORT_REFUSED$)|CALL_)/.test(code)),
)

/** A call that was forwarded and then cut counts as allowed, with an error. */
export function actionOf(record: CallRecord, code: ErrorCode | null): 'allow' | 'audit' | 'deny' {
  const { decision, route, letThrough } = record
  if (!letThrough && code !== null && !NO_REFUSAL.has(code)) return 'deny'
  if (decision !== null) return decision.action
  // policy does not apply to calls to the gateway itself; for other calls it was not asked yet
  return letThrough || route?.kind === 'self' ? 'allow' : 'deny'
}

export function auditRecordOf(record: CallRecord, ending: Ending): DelegationAuditRecord {
  const { call, certificate, route, decision, session, tried, link } = record
  const { outcome, durationMs, phase } = ending
  const code = outcome?.code ?? null
  const caller = certificate?.identity ?? null
  const agent = caller?.kind === 'agent' ? caller : null
  return {
    event: 'delegation',
    request_id: call?.requestId ?? uuidV7(),
    trace_id: call?.trace.traceId ?? null,
    tenant: agent?.tenant ?? null,
    agent_id: agent?.agent ?? null,
    caller: caller?.id ?? null,
    callee: record.callee,
    destination_host: route?.kind === 'peer' ? route.host : null,
    destination_port: (session ?? tried)?.port ?? null,
    destination_ip: (session ?? tried)?.ip ?? null,
    grpc_method: call?.method ?? null,
    grpc_status: outcome?.grpcStatus ?? null,
    token_jti: record.own?.issuedJti ?? null,
    certificate: certificate?.fingerprint ?? null,
    delegation_id: call?.delegationId ?? null,
    parent_id: parentOf(record),
    root_id: link?.txn ?? null,
    hop: link?.hop ?? null,
    chain: link === null ? null : actorsOf(link.act),
    action_allowed: actionOf(record, code) !== 'deny',
    mode: decision?.mode ?? 'enforce',
    reason: code ?? decision?.code ?? null,
    rule: decision?.rule ?? null,
    policy_generation: ending.policyGeneration,
    duration_ms: roundMs(durationMs),
    bytes_up: outcome?.bytesUp ?? null,
    bytes_down: outcome?.bytesDown ?? null,
    client_ip: record.client.ip,
    client_port: record.client.port,
    asked_from: record.own?.asked?.from ?? null,
    asked_to: record.own?.asked?.to ?? null,
    asked_method: record.own?.asked?.method ?? null,
    phase: phase.phase,
    open_id: phase.open_id,
  }
}

/** The delegation that the caller worked on when it made this one; until the link is known, the presented one. */
function parentOf({ link, presented }: CallRecord): string | null {
  if (link !== null && link === presented) return presented.delegation_id ?? null
  return link?.parent_id ?? null
}
