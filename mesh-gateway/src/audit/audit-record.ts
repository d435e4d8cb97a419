/**
 * One line of the audit log: how one egress request or one delegated call ended, or that one is open for long. Names are constant;
 * absent facts are null.
 */
import type { Phase } from './open-record.ts'

export interface AuditBase extends Phase {
  readonly request_id: string
  readonly trace_id: string | null
  readonly tenant: string | null
  readonly agent_id: string | null
  readonly action_allowed: boolean
  readonly mode: 'enforce' | 'audit'
  /** The error code; null when all went well. */
  readonly reason: string | null
  readonly rule: string | null
  readonly policy_generation: number
  readonly duration_ms: number
  /** Null while it is open, as how it ended is. */
  readonly bytes_up: number | null
  readonly bytes_down: number | null
  /** Of the connection that the request came by; null over a Unix socket. */
  readonly client_ip: string | null
  readonly client_port: number | null
}

export interface EgressAuditRecord extends AuditBase {
  readonly event: 'egress'
  readonly token_jti: string | null
  /** SHA-256 of the certificate that the token was exchanged for; null without one. */
  readonly certificate: string | null
  /** Id of the tree of delegations that the token belongs to. */
  readonly root_id: string | null
  /** SPIFFE IDs of those who delegated to the agent, first the one that the chain began with. */
  readonly chain: readonly string[] | null
  /** Of the chain, the agent because of which it was refused: `tenant/agent`. */
  readonly refused_actor: string | null
  readonly destination_host: string | null
  readonly destination_port: number | null
  readonly destination_ip: string | null
  readonly method: string
  /** Without the query. Null for a tunnel. */
  readonly path: string | null
  /** HTTP status answered; 0 when the client had gone; null while it is open. */
  readonly status: number | null
}

export interface DelegationAuditRecord extends AuditBase {
  readonly event: 'delegation'
  /** Of ExchangeToken: id of the egress token that it answered with. */
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
  /** The id that the caller gave the delegation; of a task that was begun without one, the gateway's. */
  readonly delegation_id: string | null
  /** The id of the delegation that the caller worked on. Null where a chain begins, and where the gateway cannot know. */
  readonly parent_id: string | null
  /** Id of the tree of delegations (`txn` of its tokens). */
  readonly root_id: string | null
  /** How deep in the tree: 1 where it begins. */
  readonly hop: number | null
  /** SPIFFE IDs of those who delegated, first the one that the chain began with. */
  readonly chain: readonly string[] | null
  /** What the gateway's own services were asked about; null of any other call. */
  readonly asked_from: string | null
  readonly asked_to: string | null
  readonly asked_method: string | null
}

export type AuditRecord = EgressAuditRecord | DelegationAuditRecord

export interface AuditLog {
  /** How long one is open before a record says so, in milliseconds. Default 5,000. */
  readonly openAfterMs?: number
  /** Never blocks and never throws. `time` is added. */
  /** @param repeated given of a summary: how many records like this one it stands for */
  write(record: AuditRecord, repeated?: number): void
  /** False while records cannot be written. */
  healthy(): boolean
  /** Ends when everything written is on disk. */
  close(): Promise<void>
}
