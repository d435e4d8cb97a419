/**
 * Parts of the answers below /api/, as the gateway makes them and the page of the console reads them. Nothing is imported
 * here: the page knows nothing of Node.
 */

/** How often one agent has asked for one peer or destination, of late. */
export interface Edge {
  readonly plane: 'egress' | 'delegation'
  /** `tenant/agent`; null when it is unknown. */
  readonly from: string | null
  /** `tenant/agent` of a peer, or `host:port` of a destination; null when it is unknown. */
  readonly to: string | null
  readonly allowed: number
  readonly refused: number
  /** Of these, open now. */
  readonly open: number
  /** The code of the latest refusal, and its rule. */
  readonly reason: string | null
  readonly rule: string | null
  /** Of all allowed ones together. */
  readonly duration_ms: number
  /** The time of the latest, ISO 8601. */
  readonly last: string
}

export interface Counts {
  readonly allow: number
  /** Let through by audit mode. */
  readonly audit: number
  readonly deny: number
}

export interface OverviewFacts {
  readonly identity: string
  readonly mesh_domain: string
  readonly addresses: {
    readonly egress: string
    readonly delegation: string
    readonly admin: string
  }
  readonly policy: {
    readonly dir: string
    readonly generation: number
    readonly tenants: number
    readonly closed: readonly string[]
  }
  readonly audit: { readonly file: string; readonly healthy: boolean }
  /** Since the process began. */
  readonly decisions: { readonly egress: Counts; readonly delegation: Counts }
  readonly open: { readonly calls: number; readonly tunnels: number }
  readonly memory_bytes: number
}

export interface CertificateFacts {
  readonly kind: 'certificate' | 'root' | 'egress certificate' | 'signing key' | 'list of revoked'
  /** An identity, a subject, or the id of a key. */
  readonly name: string
  /** SHA-256, lower-case hexadecimal; null for what is no certificate. */
  readonly fingerprint: string | null
  /** Of a signing key: `active`, `next` or `verifying`. */
  readonly role: string | null
  /** ISO 8601; null: no end is set. */
  readonly until: string | null
}

export interface WorkerState {
  /** Counts from 1. */
  readonly worker: number
  readonly state: 'ready' | 'starting' | 'waiting'
  /** Null while it waits for its restart. */
  readonly pid: number | null
}
