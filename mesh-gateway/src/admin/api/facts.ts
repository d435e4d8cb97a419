/**
 * What the admin port asks of the gateway, and the answers of one process of it. Each of several workers answers, and
 * merge.ts makes one answer of all. Read-only, and every answer is bounded.
 */
import type { LimitUse, MaybePromise } from '../../limits/limits.ts'
import type { CountedIn } from '../../limits/open-limits.ts'
import type { PeerState } from '../../live/peer-state.ts'
import type { Answered, Asked } from '../../policy/decide/explain-asked.ts'
import type { PolicyFault } from '../../policy/read/fault-shape.ts'
import type { ReplayFacts } from '../../recorded/replay-shapes.ts'
import type { CertificateFacts, Edge, OverviewFacts, WorkerState } from './answer-shapes.ts'

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

export interface CandidateFile {
  /** `acme.json`, `_global.json`. */
  readonly name: string
  readonly text: string
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

/** What the processes of one gateway have answered. */
export interface Heard<K extends Kind> {
  /** Of those that answer in time; empty while none does. */
  readonly answers: readonly Answer[K][]
  /** How many run and have not answered in time: their part is missing. */
  readonly silent: number
}

/** All processes of one gateway. */
export interface FactsSource {
  ask<K extends Kind>(what: K, asked: Question[K]): Promise<Heard<K>>
  /** Empty for a gateway of one process. */
  workers(): readonly WorkerState[]
}
