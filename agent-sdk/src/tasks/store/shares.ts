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
  return new SharesOfCallers(limits, onDrop)
}

class SharesOfCallers implements Shares {
  readonly #limits: ShareLimits
  readonly #onDrop: (entry: Entry) => void
  readonly #shares = new Map<string, Share>()
  /** The one that ended first in front. */
  readonly #ended = new Set<Entry>()
  #count = 0
  #bytes = 0

  constructor(limits: ShareLimits, onDrop: (entry: Entry) => void) {
    this.#limits = limits
    this.#onDrop = onDrop
  }

  find(caller: string, id: string): Entry | undefined {
    return this.#shares.get(caller)?.tasks.get(id)
  }

  findByKey(caller: string, key: string): Entry | undefined {
    return this.#shares.get(caller)?.keys.get(key)
  }

  newestFirst(caller: string): Iterable<Entry> {
    return [...(this.#shares.get(caller)?.tasks.values() ?? [])].reverse()
  }

  add(made: NewEntry, cost: number): Entry {
    const { caller, id, idempotencyKey } = made.record
    const share = this.#shares.get(caller) ?? {
      ...{ tasks: new Map(), keys: new Map(), unread: new Set(), read: new Set() },
      ...{ bytes: 0, droppableBytes: 0 },
    }
    const entry = { ...made, bytes: 0, readers: 0, wasRead: false }
    this.#shares.set(caller, share)
    share.tasks.set(id, entry)
    if (idempotencyKey !== null) share.keys.set(idempotencyKey, entry)
    this.#count += 1
    this.grow(entry, cost)
    return entry
  }

  grow(entry: Entry, by: number): void {
    const share = this.#shares.get(entry.record.caller)
    if (share === undefined) return
    entry.bytes += by
    share.bytes += by
    this.#bytes += by
  }

  end(entry: Entry): void {
    this.#ended.add(entry)
    this.#offer(entry)
  }

  hold(entry: Entry): (whole: boolean) => void {
    this.#withdraw(entry)
    entry.readers += 1
    let over = false
    return (whole) => {
      if (over) return
      over = true
      entry.readers -= 1
      entry.wasRead ||= whole
      this.#offer(entry)
    }
  }

  makeRoom(caller: string, cost: number, tasks: number): 'yes' | 'caller' | 'all' {
    const { maxTasks, maxTasksPerCaller, maxCallerBytes, maxBytes } = this.#limits
    const share = this.#shares.get(caller)
    const size = share?.tasks.size ?? 0
    const dropped = (share?.read.size ?? 0) + (share?.unread.size ?? 0)
    const held = share?.bytes ?? 0
    const freed = share?.droppableBytes ?? 0
    if (size - dropped + tasks > maxTasksPerCaller) return 'caller'
    if (held - freed + cost > maxCallerBytes) return 'caller'
    if (this.#count - dropped + tasks > maxTasks || this.#bytes - freed + cost > maxBytes)
      return 'all'
    if (share !== undefined)
      for (const entries of [share.read, share.unread])
        for (const entry of entries) {
          if (!this.#isOver(share, cost, tasks)) return 'yes'
          this.#drop(entry)
        }
    return 'yes'
  }

  dropEndedBefore(untilMs: number): void {
    for (const entry of this.#ended) {
      if ((entry.record.endedMs ?? 0) > untilMs) return
      if (entry.readers === 0) this.#drop(entry)
    }
  }

  clear(): void {
    this.#shares.clear()
    this.#ended.clear()
    this.#count = 0
    this.#bytes = 0
  }

  /** So much more would be more than the caller, or all callers, may hold. */
  #isOver(share: Share, cost: number, tasks: number): boolean {
    const { maxTasks, maxTasksPerCaller, maxCallerBytes, maxBytes } = this.#limits
    return (
      share.tasks.size + tasks > maxTasksPerCaller ||
      share.bytes + cost > maxCallerBytes ||
      this.#count + tasks > maxTasks ||
      this.#bytes + cost > maxBytes
    )
  }

  /** The task may be dropped from now on, once it has ended and has no reader. */
  #offer(entry: Entry): void {
    const share = this.#shares.get(entry.record.caller)
    if (share === undefined || entry.readers > 0 || !this.#ended.has(entry)) return
    ;(entry.wasRead ? share.read : share.unread).add(entry)
    share.droppableBytes += entry.bytes
  }

  #withdraw(entry: Entry): void {
    const share = this.#shares.get(entry.record.caller)
    if (share === undefined) return
    if (share.read.delete(entry) || share.unread.delete(entry)) share.droppableBytes -= entry.bytes
  }

  #drop(entry: Entry): void {
    const { caller, id, idempotencyKey } = entry.record
    const share = this.#shares.get(caller)
    if (share?.tasks.get(id) !== entry) return
    this.#onDrop(entry)
    this.#ended.delete(entry)
    share.tasks.delete(id)
    if (idempotencyKey !== null) share.keys.delete(idempotencyKey)
    this.#withdraw(entry)
    share.bytes -= entry.bytes
    this.#bytes -= entry.bytes
    this.#count -= 1
    if (share.tasks.size === 0) this.#shares.delete(caller)
  }
}
