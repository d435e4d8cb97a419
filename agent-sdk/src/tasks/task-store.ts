/**
 * Where a callee keeps its tasks and their events.
 * Synchronous on purpose: what one call does to a task is done before the next call looks (memory, or node:sqlite).
 * Events are kept once, encoded, however many streams read them.
 */
import type { Failure, TaskState } from './task-event.ts'

export interface TaskRecord {
  /** The task is known by caller and id together: ids never cross callers. */
  readonly caller: string
  readonly id: string
  readonly idempotencyKey: string | null
  readonly contentHash: string
  readonly skill: string
  readonly labels: Readonly<Record<string, string>>
  readonly detached: boolean
  /** Milliseconds since the epoch, as all times here; null means none. */
  readonly deadlineMs: number | null
  readonly createdMs: number
  readonly updatedMs: number
  /** Null while it runs. */
  readonly endedMs: number | null
  readonly state: TaskState
  readonly lastSeq: number
  readonly failure: Failure | null
}

export type NewTask = Omit<
  TaskRecord,
  'updatedMs' | 'endedMs' | 'state' | 'lastSeq' | 'failure'
> & {
  /** Counted against the caller's share while the task runs. */
  readonly inputBytes: number
}

export interface TaskChange {
  readonly updatedMs: number
  readonly state?: TaskState
  readonly endedMs?: number
  readonly failure?: Failure
}

export interface StoredEvent {
  readonly seq: number
  /** clawmesh.delegation.v1.Event, encoded. */
  readonly bytes: Buffer
}

export interface TaskStore {
  /** How long a task is kept after its end, in milliseconds. */
  readonly retentionMs: number
  /** @throws MeshError MESH_TASK_STORE_FULL */
  create(task: NewTask): TaskRecord
  get(caller: string, id: string): TaskRecord | null
  findByKey(caller: string, idempotencyKey: string): TaskRecord | null
  /**
   * Adds the next event; its sequence number must be lastSeq + 1.
   * An event that ends the task (`endedMs` in the change) always finds room.
   * @throws MeshError MESH_LIMIT_SIZE or MESH_TASK_STORE_FULL when it would hold more than it may
   */
  append(caller: string, id: string, event: StoredEvent, change: TaskChange): TaskRecord
  /** The next event after a sequence number, or null when there is none yet. */
  eventAfter(caller: string, id: string, seq: number): StoredEvent | null
  close(): void
}
