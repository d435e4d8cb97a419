/** One stream's place in the events of a task. Nothing is read that is not on disk. */
import { MeshError } from '@clawmesh/proto'
import type { StoredEvent, TaskRecord, TaskStore } from '../model/task-store.ts'
import type { LiveTask } from './live-task.ts'

export interface TaskReader {
  /** Of the task read: not the id asked for, when a key led to it. */
  readonly id: string
  /**
   * The next event, or null when there is none yet.
   * @throws MeshError MESH_TASK_NOT_FOUND when the task is kept no longer, MESH_PEER_DRAINING when it runs no more but has not ended
   */
  next(): StoredEvent | null
  /** True when the task has ended and all of it was read. */
  done(): boolean
  onChange(listener: () => void): void
  close(): void
}

/** @param live null when the task has no runner. @throws MeshError MESH_PEER_DRAINING when it has not ended all the same */
export function createTaskReader(
  store: TaskStore,
  { caller, id, endedMs }: TaskRecord,
  live: LiveTask | null,
  afterSeq: number,
): TaskReader {
  if (live === null && endedMs === null) throw interrupted()
  const detach = live?.attach()
  const release = store.hold(caller, id)
  const stops: (() => void)[] = []
  let seq = afterSeq
  let whole = false
  return {
    id,
    next() {
      store.flush()
      const event = store.eventAfter(caller, id, seq)
      if (event !== null) {
        seq = event.seq
        return event
      }
      if (live?.interrupted() === true) throw interrupted()
      if (store.get(caller, id) === null) throw new MeshError('MESH_TASK_NOT_FOUND')
      return null
    },
    done() {
      const latest = store.get(caller, id)
      whole = latest === null || (latest.endedMs !== null && latest.lastSeq === seq)
      return whole
    },
    onChange(listener) {
      const stop = live?.onChange(listener)
      if (stop !== undefined) stops.push(stop)
    },
    close() {
      for (const stop of stops) stop()
      release(whole)
      detach?.()
    },
  }
}

function interrupted(): MeshError {
  return new MeshError('MESH_PEER_DRAINING', 'the agent is shutting down; the task goes on after', {
    retryAfterMs: 500,
  })
}
