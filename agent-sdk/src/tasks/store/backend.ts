/** Where the index of a task store puts what it does not hold itself: memory, or a file. */
import type { Beginning, Checkpoint, StoredEvent, TaskRecord } from '../../model/task-store.ts'

export interface Backend {
  /** What lies there already, in the order of the numbers. */
  readonly found: readonly FoundTask[]
  /** The highest number that was ever used. */
  readonly lastNumber: number
  add(record: TaskRecord, beginning: Beginning | null): void
  /** `record` is the task as it stands after the event. Once it has ended, its beginning is not kept any longer. */
  append(record: TaskRecord, event: StoredEvent): void
  eventAfter(number: number, seq: number): StoredEvent | null
  save(number: number, checkpoint: Checkpoint): void
  /** Null when the task cannot be run again. */
  again(number: number): { readonly beginning: Beginning; readonly checkpoint: Checkpoint } | null
  remove(number: number): void
  flush(): void
  failed(): boolean
  close(): void
}

export interface FoundTask {
  readonly record: TaskRecord
  readonly events: number
  readonly eventBytes: number
  readonly inputBytes: number
  readonly savedBytes: number
}
