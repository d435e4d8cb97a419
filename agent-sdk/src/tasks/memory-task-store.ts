/**
 * Tasks in memory, bounded for the store, for each caller and for each task, so that no caller can
 * use up the memory of the callee or the share of another caller.
 */
import { MeshError } from '@clawmesh/proto'
import type { NewTask, StoredEvent, TaskChange, TaskRecord, TaskStore } from './task-store.ts'

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

interface Entry {
  record: TaskRecord
  readonly events: StoredEvent[]
  bytes: number
  inputBytes: number
}

interface Share {
  /** In the order in which they were made. */
  readonly tasks: Map<string, Entry>
  readonly keys: Map<string, string>
  /** In the order in which they ended. */
  readonly ended: Set<Entry>
  bytes: number
  endedBytes: number
}

// what a task costs besides its events and labels
const RECORD_BYTES = 2048
const EVENT_BYTES = 128

export function createMemoryTaskStore(options: MemoryTaskStoreOptions = {}): TaskStore {
  const {
    maxTasks = 10_000,
    maxTasksPerCaller = 1_000,
    maxTaskBytes = 64 * 1024 ** 2,
    maxCallerBytes = 128 * 1024 ** 2,
    maxBytes = 256 * 1024 ** 2,
    retentionMs = 3_600_000,
    now = Date.now,
  } = options
  const shares = new Map<string, Share>()
  // ended tasks, the one that ended first in front: one Map is both the queue and the index
  const ended = new Map<Entry, number>()
  let count = 0
  let bytes = 0

  const grow = (share: Share, entry: Entry, by: number) => {
    entry.bytes += by
    share.bytes += by
    bytes += by
  }
  const drop = (entry: Entry) => {
    const { caller, id, idempotencyKey } = entry.record
    const share = shares.get(caller)
    ended.delete(entry)
    if (share === undefined || !share.tasks.delete(id)) return
    if (idempotencyKey !== null) share.keys.delete(idempotencyKey)
    if (share.ended.delete(entry)) share.endedBytes -= entry.bytes
    share.bytes -= entry.bytes
    bytes -= entry.bytes
    count -= 1
    if (share.tasks.size === 0) shares.delete(caller)
  }
  /** Drops what the caller itself has ended, the oldest first, where that makes room for more; what runs is never dropped. */
  const makeRoom = (share: Share, cost: number, tasks: number): 'yes' | 'caller' | 'all' => {
    const over = () =>
      share.tasks.size + tasks > maxTasksPerCaller || share.bytes + cost > maxCallerBytes
    const overAll = () => count + tasks > maxTasks || bytes + cost > maxBytes
    const least = share.tasks.size - share.ended.size + tasks
    if (least > maxTasksPerCaller || share.bytes - share.endedBytes + cost > maxCallerBytes)
      return 'caller'
    const rest = count - share.ended.size + tasks
    if (rest > maxTasks || bytes - share.endedBytes + cost > maxBytes) return 'all'
    for (const entry of share.ended) {
      if (!over() && !overAll()) break
      drop(entry)
    }
    return 'yes'
  }
  const sweep = () => {
    const until = now() - retentionMs
    for (const [entry, endedMs] of ended) {
      if (endedMs > until) return
      drop(entry)
    }
  }
  const entryOf = (caller: string, id: string): Entry | undefined =>
    shares.get(caller)?.tasks.get(id)
  // a timer, so that memory comes back on an idle agent too
  const sweeper = setInterval(sweep, Math.min(Math.max(retentionMs / 10, 1_000), 60_000)).unref()

  return {
    retentionMs,
    create({ inputBytes, ...task }: NewTask): TaskRecord {
      sweep()
      const share = shares.get(task.caller) ?? {
        ...{ tasks: new Map(), keys: new Map(), ended: new Set(), bytes: 0, endedBytes: 0 },
      }
      const cost = RECORD_BYTES + inputBytes + labelBytes(task.labels)
      const room = makeRoom(share, cost, 1)
      if (room !== 'yes') {
        const whose = room === 'caller' ? 'of your tasks' : 'tasks'
        throw new MeshError('MESH_TASK_STORE_FULL', `the agent holds as many ${whose} as it may`)
      }
      const record: TaskRecord = Object.freeze({
        ...task,
        updatedMs: task.createdMs,
        endedMs: null,
        state: 'submitted' as const,
        lastSeq: 0,
        failure: null,
      })
      const entry: Entry = { record, events: [], bytes: 0, inputBytes }
      shares.set(task.caller, share)
      share.tasks.set(task.id, entry)
      if (task.idempotencyKey !== null) share.keys.set(task.idempotencyKey, task.id)
      count += 1
      grow(share, entry, cost)
      return record
    },
    get(caller, id) {
      sweep()
      return entryOf(caller, id)?.record ?? null
    },
    findByKey(caller, idempotencyKey) {
      sweep()
      const id = shares.get(caller)?.keys.get(idempotencyKey)
      return id === undefined ? null : (entryOf(caller, id)?.record ?? null)
    },
    append(caller, id, event, change: TaskChange): TaskRecord {
      const entry = entryOf(caller, id)
      const share = shares.get(caller)
      if (entry === undefined || share === undefined) throw new MeshError('MESH_TASK_NOT_FOUND')
      if (event.seq !== entry.record.lastSeq + 1)
        throw new TypeError(`event ${event.seq} does not follow ${entry.record.lastSeq}`)
      const cost = event.bytes.length + EVENT_BYTES
      if (change.endedMs === undefined) {
        if (entry.bytes + cost > maxTaskBytes)
          throw new MeshError('MESH_LIMIT_SIZE', `the task made more than ${maxTaskBytes} bytes`)
        if (makeRoom(share, cost, 0) !== 'yes') throw new MeshError('MESH_TASK_STORE_FULL')
      }
      entry.events.push(event)
      entry.record = Object.freeze({ ...entry.record, ...change, lastSeq: event.seq })
      grow(share, entry, cost)
      if (change.endedMs !== undefined) {
        grow(share, entry, -entry.inputBytes)
        entry.inputBytes = 0
        ended.set(entry, change.endedMs)
        share.ended.add(entry)
        share.endedBytes += entry.bytes
      }
      return entry.record
    },
    eventAfter(caller, id, seq) {
      return entryOf(caller, id)?.events[seq] ?? null
    },
    close() {
      clearInterval(sweeper)
      shares.clear()
      ended.clear()
      count = 0
      bytes = 0
    },
  }
}

function labelBytes(labels: Readonly<Record<string, string>>): number {
  return Object.entries(labels).reduce(
    (sum, [key, value]) => sum + 2 * (key.length + value.length),
    0,
  )
}
