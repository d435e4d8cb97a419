/** Looks after a task store that fails, such as one on a disk that is full, until it can be written again. */
import { MeshError } from '@clawmesh/proto'
import type { Log } from '../log.ts'
import type { TaskStore } from '../model/task-store.ts'

export interface MendOptions {
  readonly store: TaskStore
  readonly log: Log
  /** Called before each try, for what runs on the store that has failed. */
  letGo(): void
  /** Goes on with what the store still has. @throws MeshError when it fails again */
  recover(): void
  /** Whether tasks are taken. */
  onServing(serving: boolean): void
}

const LOOK_MS = 1_000

/** Returns what ends it. */
export function mendStore({ store, log, letGo, recover, onServing }: MendOptions): () => void {
  let failing = false
  const look = () => {
    if (!store.failed()) return
    if (!failing) {
      onServing(false)
      log.error(
        { code: 'MESH_TASK_STORE_FAILED' },
        'the task store cannot be written: no task is taken until it can',
      )
    }
    failing = true
    try {
      letGo()
      store.reopen()
      recover()
    } catch (error) {
      if (!(error instanceof MeshError)) throw error
      return log.debug({ err: error }, 'the task store still cannot be written')
    }
    failing = false
    onServing(true)
    log.info({}, 'the task store can be written again')
  }
  const timer = setInterval(look, LOOK_MS).unref()
  return () => clearInterval(timer)
}
