/**
 * What the admin port asks of the gateway, and the answers of one process of it. Each of several workers answers, and
 * merge.ts makes one answer of all. Read-only, and every answer is bounded.
 */
import type { LimitUse, MaybePromise } from '../../limits/limits.ts'
import type { CountedIn } from '../../limits/open-limits.ts'
import type { PeerState } from '../../live/peer-state.ts'
import type { Answered, Asked } from '../../policy/decide/explain-asked.ts'
import type { PolicyFault } from '../../policy/read/fault.ts'
import type { ReplayReport } from '../../recorded/replay-report.ts'

/** One line of the audit log, its field `time` included. */
export type Line = string

export interface DecisionFilter {
  readonly plane: 'egress' | 'delegation' | null
  readonly allowed: boolean | null
  /** Text in `tenant/agent` of the one that asked. */
  readonly agent: string | null
  /** Text in the destination or the callee. */
  readonly host: string | null
  /** Text in the error code. */
  readonly reason: string | null
  /** How many. */
  readonly last: number
}

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

export interface CandidateFile {
  /** `acme.json`, `_global.json`. */
  readonly name: string
  readonly text: string
}

export interface ReplayFacts extends ReplayReport {
  readonly records: number
  readonly not_of_policy: number
  /** The time of the oldest record, ISO 8601; null without one. */
  readonly since: string | null
}

/** `busy`: another replay is running. */
export type ReplayAnswer = ReplayFacts | { readonly faults: readonly PolicyFault[] } | 'busy'

/** What is asked, by kind. */
export interface Question {
  readonly overview: null
  readonly decisions: DecisionFilter
  readonly edges: null
  /** Lines about one tree, or about any. */
  readonly tasks: { readonly root: string | null }
  readonly open: null
  readonly peers: null
  readonly limits: null
  readonly certificates: null
  readonly explain: Asked
  readonly replay: readonly CandidateFile[]
}

/** What one process answers, by kind. */
export interface Answer {
  readonly overview: OverviewFacts
  /** The newest first. `more`: older ones fit as well. */
  readonly decisions: { readonly lines: readonly Line[]; readonly more: boolean }
  readonly edges: { readonly edges: readonly Edge[]; readonly left_out: number }
  readonly tasks: readonly Line[]
  readonly open: {
    readonly calls: number
    readonly tunnels: number
    readonly lines: readonly Line[]
  }
  readonly peers: readonly PeerState[]
  readonly limits: { readonly counted_in: CountedIn; readonly uses: readonly LimitUse[] }
  readonly certificates: readonly CertificateFacts[]
  readonly explain: Answered
  readonly replay: ReplayAnswer
}

export type Kind = keyof Question

export type Facts = { readonly [K in Kind]: (asked: Question[K]) => MaybePromise<Answer[K]> }

/** A question as a message. */
export type Asking<K extends Kind = Kind> = {
  readonly [P in K]: { readonly what: P; readonly asked: Question[P] }
}[K]

export async function answerOf<K extends Kind>(
  facts: Facts,
  { what, asked }: { readonly what: K; readonly asked: Question[K] },
): Promise<Answer[K]> {
  return await facts[what](asked)
}

export interface WorkerState {
  /** Counts from 1. */
  readonly worker: number
  readonly state: 'ready' | 'starting' | 'waiting'
  /** Null while it waits for its restart. */
  readonly pid: number | null
}

/** All processes of one gateway. */
export interface FactsSource {
  /** The answers of those that answer in time; empty while none does. */
  ask<K extends Kind>(what: K, asked: Question[K]): Promise<readonly Answer[K][]>
  /** Empty for a gateway of one process. */
  workers(): readonly WorkerState[]
}
