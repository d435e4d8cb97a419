/** Tasks in a file: they survive the process, and `kill -9` of it. */
import { checkOptions, optionNames } from '../check-options.ts'
import type { TaskStore } from '../model/task-store.ts'
import type { Backend } from './store/backend.ts'
import { openDatabase, proveRoom } from './store/sqlite/open-database.ts'
import { createSqliteBackend } from './store/sqlite/sqlite-backend.ts'
import { createIndexedStore } from './store/task-index.ts'

/** Options of `createSqliteTaskStore`. `file` is required. */
export interface SqliteTaskStoreOptions {
  /** Made when it is not there; its directory has to be. One process at a time. */
  readonly file: string
  /**
   * What an event survives once it was sent. `power-loss` (the default) waits for the disk once in each turn of the event loop;
   * `process-crash` does not, and after a crash of the machine the last events may be missing.
   */
  readonly durability?: 'power-loss' | 'process-crash'
  /** Tasks kept, running and ended; about 1 KiB of memory for each. Default 10,000. */
  readonly maxTasks?: number
  /** Tasks kept for one caller. Default 1,000. */
  readonly maxTasksPerCaller?: number
  /** Bytes of events of one task, on disk. Default 2 GiB. */
  readonly maxTaskBytes?: number
  /** Bytes for one caller. Default 8 GiB. */
  readonly maxCallerBytes?: number
  /** Bytes for all callers together; the file uses its room again, and does not shrink. Default 32 GiB. */
  readonly maxBytes?: number
  /** How long a task is kept after its end, in milliseconds; less where its caller needs the room for new ones. Default 1 hour. */
  readonly retentionMs?: number
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
}

const NAMES = optionNames<SqliteTaskStoreOptions>({
  file: true,
  durability: true,
  maxTasks: true,
  maxTasksPerCaller: true,
  maxTaskBytes: true,
  maxCallerBytes: true,
  maxBytes: true,
  retentionMs: true,
  now: true,
})

/**
 * Opens or makes a store that keeps tasks in a file of SQLite: they survive the process.
 *
 * @example
 * import { createSqliteTaskStore } from '@clawmesh/agent-sdk'
 *
 * const taskStore = createSqliteTaskStore({ file: '/var/lib/agent/tasks.db', retentionMs: 86_400_000 })
 *
 * @throws TypeError for an option that does not exist
 * @throws MeshError MESH_TASK_STORE_LOCKED when another process has the file, MESH_TASK_STORE_CORRUPT when it is damaged or no
 * task store, MESH_TASK_STORE_VERSION when a newer version wrote it, MESH_TASK_STORE_FAILED when it cannot be made
 */
export function createSqliteTaskStore(options: SqliteTaskStoreOptions): TaskStore {
  checkOptions(options, NAMES, 'createSqliteTaskStore')
  const {
    file,
    durability = 'power-loss',
    maxTasks = 10_000,
    maxTasksPerCaller = 1_000,
    maxTaskBytes = 2 * 1024 ** 3,
    maxCallerBytes = 8 * 1024 ** 3,
    maxBytes = 32 * 1024 ** 3,
    retentionMs = 3_600_000,
    now = Date.now,
  } = options
  if (file === '') throw new TypeError('file: is empty')
  let opened = false
  const openBackend = (): Backend => {
    if (opened) proveRoom(file)
    opened = true
    const database = openDatabase(file, durability)
    try {
      return createSqliteBackend(database)
    } catch (error) {
      database.close()
      throw error
    }
  }
  return createIndexedStore(openBackend, {
    ...{ maxTasks, maxTasksPerCaller, maxTaskBytes, maxCallerBytes, maxBytes, retentionMs, now },
  })
}
