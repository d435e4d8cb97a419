/**
 * Where a callee keeps its tasks and their events.
 * Synchronous on purpose: what one call does to a task is done before the next call looks (memory, or node:sqlite).
 * Events are kept once, encoded, however many streams read them.
 *
 * A write is durable after `flush`, and not before: call `flush` before a message tells the caller of it.
 */
import type { Failure, TaskState } from './task-event.ts'

/** A task, as the store keeps it. */
export interface TaskRecord {
  /** The task is known by caller and id together: ids never cross callers. */
  readonly caller: string
  readonly id: string
  /** In the order in which they were made; never used twice in one store. */
  readonly number: number
  readonly idempotencyKey: string | null
  readonly contentHash: string
  readonly skill: string
  readonly labels: Readonly<Record<string, string>>
  readonly detached: boolean
  /**
   * Which tree of delegations it is part of: the delegation token that it came with; null when it came past the gateway. A store
   * that outlives the process keeps it without the signature, so that no token of a task that has ended lies on the disk.
   */
  readonly tree: string | null
  /** Milliseconds since the epoch, as all times here; null means none. */
  readonly deadlineMs: number | null
  readonly createdMs: number
  readonly updatedMs: number
  /** Null while it runs. */
  readonly endedMs: number | null
  readonly state: TaskState
  readonly lastSeq: number
  readonly failure: Failure | null
  /** The questions that it has asked so far, in their order. */
  readonly inputs: readonly TaskInput[]
}

/** A question that a task has asked. */
export interface TaskInput {
  readonly id: string
  /** SHA-256 of the answer; null while there is none. */
  readonly answerHash: string | null
  /** Absent of what an older version wrote. */
  readonly askedMs?: number
}

/** A task before the store has numbered it. */
export type NewTask = Omit<
  TaskRecord,
  'number' | 'updatedMs' | 'endedMs' | 'state' | 'lastSeq' | 'failure' | 'inputs'
> & {
  /** Counted against the caller's share while the task runs. */
  readonly inputBytes: number
  /** What it takes to run the task again; null: it is never run again. */
  readonly beginning: Beginning | null
}

/** How a task began. Kept until it has ended. */
export interface Beginning {
  /** clawmesh.delegation.v1.DelegateRequest, encoded. */
  readonly request: Uint8Array
  readonly traceparent: string | null
  /** Expires by itself, and is of use only with this agent's private key. */
  readonly delegationToken: string | null
}

/** What a skill saved last, and what the store knows of its runs. */
export interface Checkpoint {
  /** JSON, as the skill saved it; null when it saved nothing yet. */
  readonly saved: string | null
  /** How many questions the task had asked when that was saved. */
  readonly asked: number
  /** How often the task was run again since then. */
  readonly runs: number
}

/** A task without a runner: the server must run it again or end it. */
export interface LeftTask {
  readonly record: TaskRecord
  /** Null: it cannot be run again. */
  readonly again: { readonly beginning: Beginning; readonly checkpoint: Checkpoint } | null
}

/** What an event changes in the record of its task. What is left out stays. */
export interface TaskChange {
  readonly updatedMs: number
  readonly state?: TaskState
  readonly endedMs?: number
  readonly failure?: Failure
  readonly inputs?: readonly TaskInput[]
}

/** One event of a task, as the store keeps it. */
export interface StoredEvent {
  readonly seq: number
  /** clawmesh.delegation.v1.Event, encoded. */
  readonly bytes: Buffer
}

/** Which tasks of a caller to list. */
export interface TaskQuery {
  /** Empty: all. */
  readonly states: readonly TaskState[]
  /** All of them must be there, with the same value. */
  readonly labels: Readonly<Record<string, string>>
  /** Only tasks with a smaller number; null: all. */
  readonly before: number | null
  readonly limit: number
}

/**
 * Keeps the tasks of one server: `createMemoryTaskStore`, `createSqliteTaskStore`, or one of your own. All methods are
 * synchronous.
 */
export interface TaskStore {
  /** How long a task is kept after its end, in milliseconds. */
  readonly retentionMs: number
  /** @throws MeshError MESH_TASK_STORE_FULL */
  create(task: NewTask): TaskRecord
  get(caller: string, id: string): TaskRecord | null
  findByKey(caller: string, idempotencyKey: string): TaskRecord | null
  /** Tasks of one caller, the newest first. */
  list(caller: string, query: TaskQuery): readonly TaskRecord[]
  /**
   * Adds the next event; its sequence number must be lastSeq + 1.
   * An event that ends the task (`endedMs` in the change) always finds room.
   * @throws MeshError MESH_LIMIT_SIZE or MESH_TASK_STORE_FULL when it would hold more than it may
   */
  append(caller: string, id: string, event: StoredEvent, change: TaskChange): TaskRecord
  /** The next event after a sequence number, or null when there is none yet. */
  eventAfter(caller: string, id: string, seq: number): StoredEvent | null
  /**
   * Somebody reads it: until the function that this returns is called, it is not forgotten to make room, and afterwards what was read
   * to its end goes before what was not.
   * @returns what ends the hold, once. @param whole all of it was read, its end too
   */
  hold(caller: string, id: string): (whole: boolean) => void
  /** Keeps where the skill stands, in place of what it saved before. Nothing when the task has ended. @throws MeshError as append */
  save(caller: string, id: string, saved: string): void
  /** Tasks that have not ended and have no runner: those of an earlier process, and those given to `letGo`. Each is returned once. */
  takeLeft(): readonly LeftTask[]
  /** The task has no runner any more and has not ended: `takeLeft` returns it again. */
  letGo(caller: string, id: string): void
  /** What was written so far survives the process from here on. @throws MeshError MESH_TASK_STORE_FAILED */
  flush(): void
  /** A write has failed: nothing is read or written any more, and all else throws MESH_TASK_STORE_FAILED, until `reopen`. */
  failed(): boolean
  /**
   * Goes on from what is durable: tasks that had not ended there come out of `takeLeft`. Nobody may run any of them at the time.
   * @throws MeshError MESH_TASK_STORE_… when it still cannot be written
   */
  reopen(): void
  close(): void
}
