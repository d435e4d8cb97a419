/** Who holds how much: the tasks of each caller, and what of them may go to make room for more. */
import type { TaskRecord } from '../task-store.ts'

export interface ShareLimits {
  readonly maxTasks: number
  readonly maxTasksPerCaller: number
  readonly maxCallerBytes: number
  readonly maxBytes: number
}

export interface Entry {
  record: TaskRecord
  bytes: number
  /** Part of `bytes` until the task has ended. */
  inputBytes: number
  /** The same. */
  savedBytes: number
}

export interface Shares {
  find(caller: string, id: string): Entry | undefined
  findByKey(caller: string, key: string): Entry | undefined
  newestFirst(caller: string): Iterable<Entry>
  add(entry: Entry, bytes: number): void
  grow(entry: Entry, bytes: number): void
  /** The entry's record says that it has ended. */
  end(entry: Entry): void
  /** Drops what the caller itself has ended, the oldest first, where that makes room; what runs is never dropped. */
  makeRoom(caller: string, bytes: number, tasks: number): 'yes' | 'caller' | 'all'
  dropEndedBefore(untilMs: number): void
  clear(): void
}

interface Share {
  /** In the order in which they were made. */
  readonly tasks: Map<string, Entry>
  readonly keys: Map<string, Entry>
  /** In the order in which they ended. */
  readonly ended: Set<Entry>
  bytes: number
  endedBytes: number
}

/** @param onDrop called before an entry is forgotten */
export function createShares(limits: ShareLimits, onDrop: (entry: Entry) => void): Shares {
  const { maxTasks, maxTasksPerCaller, maxCallerBytes, maxBytes } = limits
  const shares = new Map<string, Share>()
  // the one that ended first in front
  const ended = new Set<Entry>()
  let count = 0
  let bytes = 0

  const grow = (entry: Entry, by: number) => {
    const share = shares.get(entry.record.caller)
    if (share === undefined) return
    entry.bytes += by
    share.bytes += by
    bytes += by
  }
  const end = (entry: Entry) => {
    const share = shares.get(entry.record.caller)
    if (share === undefined) return
    ended.add(entry)
    share.ended.add(entry)
    share.endedBytes += entry.bytes
  }
  const drop = (entry: Entry) => {
    const { caller, id, idempotencyKey } = entry.record
    const share = shares.get(caller)
    if (share?.tasks.get(id) !== entry) return
    onDrop(entry)
    ended.delete(entry)
    share.tasks.delete(id)
    if (idempotencyKey !== null) share.keys.delete(idempotencyKey)
    if (share.ended.delete(entry)) share.endedBytes -= entry.bytes
    share.bytes -= entry.bytes
    bytes -= entry.bytes
    count -= 1
    if (share.tasks.size === 0) shares.delete(caller)
  }

  return {
    find: (caller, id) => shares.get(caller)?.tasks.get(id),
    findByKey: (caller, key) => shares.get(caller)?.keys.get(key),
    newestFirst: (caller) => [...(shares.get(caller)?.tasks.values() ?? [])].reverse(),
    add(entry, cost) {
      const { caller, id, idempotencyKey } = entry.record
      const share = shares.get(caller) ?? {
        ...{ tasks: new Map(), keys: new Map(), ended: new Set(), bytes: 0, endedBytes: 0 },
      }
      shares.set(caller, share)
      share.tasks.set(id, entry)
      if (idempotencyKey !== null) share.keys.set(idempotencyKey, entry)
      count += 1
      grow(entry, cost)
    },
    grow,
    end,
    makeRoom(caller, cost, tasks) {
      const share = shares.get(caller)
      const size = share?.tasks.size ?? 0
      const endedSize = share?.ended.size ?? 0
      const held = share?.bytes ?? 0
      const endedBytes = share?.endedBytes ?? 0
      if (size - endedSize + tasks > maxTasksPerCaller) return 'caller'
      if (held - endedBytes + cost > maxCallerBytes) return 'caller'
      if (count - endedSize + tasks > maxTasks || bytes - endedBytes + cost > maxBytes) return 'all'
      const over = (of: Share) =>
        of.tasks.size + tasks > maxTasksPerCaller ||
        of.bytes + cost > maxCallerBytes ||
        count + tasks > maxTasks ||
        bytes + cost > maxBytes
      for (const entry of share?.ended ?? []) {
        if (share === undefined || !over(share)) break
        drop(entry)
      }
      return 'yes'
    },
    dropEndedBefore(untilMs) {
      for (const entry of ended) {
        if ((entry.record.endedMs ?? 0) > untilMs) return
        drop(entry)
      }
    },
    clear() {
      shares.clear()
      ended.clear()
      count = 0
      bytes = 0
    },
  }
}
