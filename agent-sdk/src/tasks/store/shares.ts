/**
 * Who holds how much: the tasks of each caller, and what of them may go to make room for more: of what has ended, what was read
 * to its end first, and never what is being read.
 */
import type { TaskRecord } from '../../model/task-store.ts'

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
  readers: number
  /** Somebody has read it to its end. */
  wasRead: boolean
}

export type NewEntry = Pick<Entry, 'record' | 'inputBytes' | 'savedBytes'>

export interface Shares {
  find(caller: string, id: string): Entry | undefined
  findByKey(caller: string, key: string): Entry | undefined
  newestFirst(caller: string): Iterable<Entry>
  add(entry: NewEntry, bytes: number): Entry
  grow(entry: Entry, bytes: number): void
  /** The entry's record says that it has ended. */
  end(entry: Entry): void
  /** What is read is not dropped. Returns what ends that, once. */
  hold(entry: Entry): (whole: boolean) => void
  /** Drops what the caller itself has ended, where that makes room; what runs or is read is never dropped. */
  makeRoom(caller: string, bytes: number, tasks: number): 'yes' | 'caller' | 'all'
  dropEndedBefore(untilMs: number): void
  clear(): void
}

interface Share {
  /** In the order in which they were made. */
  readonly tasks: Map<string, Entry>
  readonly keys: Map<string, Entry>
  /** Ended and not read at present, in the order in which they may go. */
  readonly unread: Set<Entry>
  readonly read: Set<Entry>
  bytes: number
  /** Of both. */
  droppableBytes: number
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
  /** The task may be dropped from now on, once it has ended and has no reader. */
  const offer = (entry: Entry) => {
    const share = shares.get(entry.record.caller)
    if (share === undefined || entry.readers > 0 || !ended.has(entry)) return
    ;(entry.wasRead ? share.read : share.unread).add(entry)
    share.droppableBytes += entry.bytes
  }
  const withdraw = (entry: Entry) => {
    const share = shares.get(entry.record.caller)
    if (share === undefined) return
    if (share.read.delete(entry) || share.unread.delete(entry)) share.droppableBytes -= entry.bytes
  }
  const end = (entry: Entry) => {
    ended.add(entry)
    offer(entry)
  }
  const drop = (entry: Entry) => {
    const { caller, id, idempotencyKey } = entry.record
    const share = shares.get(caller)
    if (share?.tasks.get(id) !== entry) return
    onDrop(entry)
    ended.delete(entry)
    share.tasks.delete(id)
    if (idempotencyKey !== null) share.keys.delete(idempotencyKey)
    withdraw(entry)
    share.bytes -= entry.bytes
    bytes -= entry.bytes
    count -= 1
    if (share.tasks.size === 0) shares.delete(caller)
  }

  return {
    find: (caller, id) => shares.get(caller)?.tasks.get(id),
    findByKey: (caller, key) => shares.get(caller)?.keys.get(key),
    newestFirst: (caller) => [...(shares.get(caller)?.tasks.values() ?? [])].reverse(),
    add(made, cost) {
      const { caller, id, idempotencyKey } = made.record
      const share = shares.get(caller) ?? {
        ...{ tasks: new Map(), keys: new Map(), unread: new Set(), read: new Set() },
        ...{ bytes: 0, droppableBytes: 0 },
      }
      const entry = { ...made, bytes: 0, readers: 0, wasRead: false }
      shares.set(caller, share)
      share.tasks.set(id, entry)
      if (idempotencyKey !== null) share.keys.set(idempotencyKey, entry)
      count += 1
      grow(entry, cost)
      return entry
    },
    grow,
    end,
    hold(entry) {
      withdraw(entry)
      entry.readers += 1
      let over = false
      return (whole) => {
        if (over) return
        over = true
        entry.readers -= 1
        entry.wasRead ||= whole
        offer(entry)
      }
    },
    makeRoom(caller, cost, tasks) {
      const share = shares.get(caller)
      const size = share?.tasks.size ?? 0
      const dropped = (share?.read.size ?? 0) + (share?.unread.size ?? 0)
      const held = share?.bytes ?? 0
      const freed = share?.droppableBytes ?? 0
      if (size - dropped + tasks > maxTasksPerCaller) return 'caller'
      if (held - freed + cost > maxCallerBytes) return 'caller'
      if (count - dropped + tasks > maxTasks || bytes - freed + cost > maxBytes) return 'all'
      const over = (of: Share) =>
        of.tasks.size + tasks > maxTasksPerCaller ||
        of.bytes + cost > maxCallerBytes ||
        count + tasks > maxTasks ||
        bytes + cost > maxBytes
      if (share !== undefined)
        for (const entries of [share.read, share.unread])
          for (const entry of entries) {
            if (!over(share)) return 'yes'
            drop(entry)
          }
      return 'yes'
    },
    dropEndedBefore(untilMs) {
      for (const entry of ended) {
        if ((entry.record.endedMs ?? 0) > untilMs) return
        if (entry.readers === 0) drop(entry)
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
