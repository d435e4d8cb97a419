/**
 * The fields of one line of the audit log (the access log of both ports): how one egress request or one delegated call
 * ended, or that one has been open for long. Field names are constant; absent facts are null.
 */

/** Audit fields that tell two records of one request apart; null in a single record. */
export interface Phase {
  readonly phase: 'open' | 'end' | null
  readonly open_id: string | null
}

export interface AuditBase extends Phase {
  readonly request_id: string
  readonly trace_id: string | null
  readonly tenant: string | null
  readonly agent_id: string | null
  readonly action_allowed: boolean
  readonly mode: 'enforce' | 'audit'
  /** The error code; null on success. */
  readonly reason: string | null
  readonly rule: string | null
  readonly policy_generation: number
  readonly duration_ms: number
  /** Null while it is open, like all facts of its end. */
  readonly bytes_up: number | null
  readonly bytes_down: number | null
  /** The client's address on its connection; null over a Unix socket. */
  readonly client_ip: string | null
  readonly client_port: number | null
}

export interface EgressAuditRecord extends AuditBase {
  readonly event: 'egress'
  readonly token_jti: string | null
  /** SHA-256 of the certificate for which the token was exchanged; null without one. */
  readonly certificate: string | null
  /** Id of the tree of delegations to which the token belongs. */
  readonly root_id: string | null
  /** SPIFFE IDs of the agents that delegated to this one, the origin of the chain first. */
  readonly chain: readonly string[] | null
  /** The agent of the chain that caused the refusal: `tenant/agent`. */
  readonly refused_actor: string | null
  readonly destination_host: string | null
  readonly destination_port: number | null
  readonly destination_ip: string | null
  readonly method: string
  /** Without the query. Null for a tunnel. */
  readonly path: string | null
  /** The header by which the destination may read another method or path; null without one. */
  readonly override: string | null
  /** HTTP status of the answer; 0 when the client had left; null while it is open. */
  readonly status: number | null
}

export interface DelegationAuditRecord extends AuditBase {
  readonly event: 'delegation'
  /** For ExchangeToken: id of the egress token in the answer. */
  readonly token_jti: string | null
  /** SHA-256 of the caller's certificate, lower-case hexadecimal. */
  readonly certificate: string | null
  /** SPIFFE IDs. */
  readonly caller: string | null
  readonly callee: string | null
  readonly destination_host: string | null
  readonly destination_port: number | null
  readonly destination_ip: string | null
  /** `package.Service/Method`. */
  readonly grpc_method: string | null
  /** Number of the gRPC status; null while it is open. */
  readonly grpc_status: number | null
  /** The caller's id of the delegation; the gateway's own when the caller began a task without one. */
  readonly delegation_id: string | null
  /**
   * The id of the delegation on which the caller worked. Null where a chain begins, and where the gateway cannot know
   * it.
   */
  readonly parent_id: string | null
  /** Id of the tree of delegations (`txn` of its tokens). */
  readonly root_id: string | null
  /** Depth in the tree: 1 where it begins. */
  readonly hop: number | null
  /** SPIFFE IDs of the agents that delegated, the origin of the chain first. */
  readonly chain: readonly string[] | null
  /** The question to the gateway's own services; null for any other call. */
  readonly asked_from: string | null
  readonly asked_to: string | null
  readonly asked_method: string | null
}

export type AuditRecord = EgressAuditRecord | DelegationAuditRecord

export interface AuditLog {
  /** How long a request is open before it gets an open record, in milliseconds. Default 5,000. */
  readonly openAfterMs?: number
  /** Never blocks and never throws. `time` is added. */
  /** @param repeated for a summary: the number of records for which it stands */
  write(record: AuditRecord, repeated?: number): void
  /** False while records cannot be written. */
  healthy(): boolean
  /** Resolves when everything written is on disk. */
  close(): Promise<void>
}
