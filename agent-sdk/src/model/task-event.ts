/** What a task tells while it runs, and what it is at one moment. */
import type { Part } from './part.ts'

/** As in A2A, and expired and orphaned, which A2A would call failed. */
export type TaskState =
  | 'submitted'
  | 'working'
  | 'input-required'
  | 'auth-required'
  | 'completed'
  | 'failed'
  | 'canceled'
  | 'rejected'
  | 'expired'
  | 'orphaned'

/** The states in which a task has ended without a result. */
export type FailedState = 'failed' | 'canceled' | 'rejected' | 'expired' | 'orphaned'

/** Why a task ended without a result. */
export interface Failure {
  readonly state: FailedState
  /** One of MESH_…, or a code of the peer's own. */
  readonly code: string
  readonly message: string
  /** What to do about it, where there is something. */
  readonly hint?: string
  readonly retryable: boolean
}

export interface EventHead {
  /** Id of the delegation: a UUIDv7. */
  readonly id: string
  /** From 1, in the order in which they happened. */
  readonly seq: number
  /** By the clock of the peer. */
  readonly time: Date
}

export type EventBody =
  | { readonly kind: 'accepted'; readonly skill: string; readonly retentionMs: number }
  | { readonly kind: 'status'; readonly state: TaskState; readonly note: string }
  /** `fraction` is between 0 and 1. */
  | { readonly kind: 'progress'; readonly fraction: number; readonly note: string }
  | { readonly kind: 'message'; readonly text: string }
  | ({ readonly kind: 'artifact' } & ArtifactPiece)
  /** The task waits for `delegation.sendInput`. */
  | {
      readonly kind: 'input-required'
      readonly inputId: string
      readonly question: readonly Part[]
    }
  | {
      readonly kind: 'input-received'
      readonly inputId: string
      readonly answer: readonly Part[]
    }
  | { readonly kind: 'usage'; readonly amounts: Readonly<Record<string, number>> }
  | { readonly kind: 'result'; readonly output: readonly Part[] }
  | ({ readonly kind: 'failed' } & Failure)

/** A chunk of an artifact, in the order of `index`. */
export interface ArtifactPiece {
  readonly name: string
  readonly mediaType: string
  /** From 0, for each name. */
  readonly index: number
  readonly data: Uint8Array
  readonly last: boolean
  /** Of the whole artifact, lower-case hexadecimal; null but on the last piece. */
  readonly sha256: string | null
}

/** `switch (event.kind)` tells them apart. The last one is `result` or `failed`. */
export type TaskEvent = EventHead & EventBody

/** A task at one moment, as the peer describes it. */
export interface TaskInfo {
  readonly id: string
  readonly skill: string
  readonly state: TaskState
  /** SPIFFE ID of the agent that asked. */
  readonly caller: string
  readonly created: Date
  readonly updated: Date
  readonly lastSeq: number
  readonly labels: Readonly<Record<string, string>>
  /** Null unless it ended without a result. */
  readonly failure: Failure | null
  /** Ids of the questions without an answer. */
  readonly pendingInputs: readonly string[]
}

/** Which tasks; what is left out does not matter. */
export interface TaskFilter {
  readonly states?: readonly TaskState[]
  /** All of them must be there, with the same value. */
  readonly labels?: Readonly<Record<string, string>>
}

export function hasEnded(state: TaskState): boolean {
  return !['submitted', 'working', 'input-required', 'auth-required'].includes(state)
}
