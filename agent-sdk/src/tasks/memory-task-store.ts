/** Tasks in memory: gone with the process. */
import { checkOptions, optionNames } from '../check-options.ts'
import type { TaskStore } from '../model/task-store.ts'
import { createMemoryBackend } from './store/memory-backend.ts'
import { createIndexedStore } from './store/task-index.ts'

/** Options of `createMemoryTaskStore`. */
export interface MemoryTaskStoreOptions {
  /** Tasks kept, running and ended. Default 10,000. */
  readonly maxTasks?: number
  /** Tasks kept for one caller. Default 1,000. */
  readonly maxTasksPerCaller?: number
  /** Bytes of events of one task. Default 64 MiB. */
  readonly maxTaskBytes?: number
  /** Bytes of events and of the input of running tasks for one caller. Default 128 MiB. */
  readonly maxCallerBytes?: number
  /** The same for all callers together. Default 256 MiB. */
  readonly maxBytes?: number
  /** How long a task is kept after its end, in milliseconds; less where its caller needs the room for new ones. Default 1 hour. */
  readonly retentionMs?: number
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
}

const NAMES = optionNames<MemoryTaskStoreOptions>({
  maxTasks: true,
  maxTasksPerCaller: true,
  maxTaskBytes: true,
  maxCallerBytes: true,
  maxBytes: true,
  retentionMs: true,
  now: true,
})

/**
 * Makes a store that keeps tasks in memory: they end with the process.
 * @throws TypeError for an option that does not exist
 */
export function createMemoryTaskStore(options: MemoryTaskStoreOptions = {}): TaskStore {
  checkOptions(options, NAMES, 'createMemoryTaskStore')
  const {
    maxTasks = 10_000,
    maxTasksPerCaller = 1_000,
    maxTaskBytes = 64 * 1024 ** 2,
    maxCallerBytes = 128 * 1024 ** 2,
    maxBytes = 256 * 1024 ** 2,
    retentionMs = 3_600_000,
    now = Date.now,
  } = options
  return createIndexedStore(createMemoryBackend, {
    ...{ maxTasks, maxTasksPerCaller, maxTaskBytes, maxCallerBytes, maxBytes, retentionMs, now },
  })
}
