/**
 * What every task store has in common: the records in memory, the shares of callers, retention. Bounded for the store, for
 * each caller and for each task, so that no caller can use up the room of the callee or the share of another caller.
 */
import { MeshError } from '@clawmesh/proto'
import type {
  LeftTask,
  NewTask,
  StoredEvent,
  TaskChange,
  TaskQuery,
  TaskRecord,
  TaskStore,
} from '../../model/task-store.ts'
import type { Backend, FoundTask } from './backend.ts'
import { createShares, type Entry, type ShareLimits, type Shares } from './shares.ts'

export interface IndexOptions extends ShareLimits {
  readonly maxTaskBytes: number
  readonly retentionMs: number
  readonly now: () => number
}

// what a task costs besides its events and labels
const RECORD_BYTES = 2048
const EVENT_BYTES = 128

/** @param openBackend called again after a failure. @throws what it throws */
export function createIndexedStore(openBackend: () => Backend, options: IndexOptions): TaskStore {
  const index = new TaskIndex(openBackend, options)
  // a plain object: a store may be spread into another one
  return {
    retentionMs: options.retentionMs,
    create: (task) => index.create(task),
    get: (caller, id) => index.get(caller, id),
    findByKey: (caller, idempotencyKey) => index.findByKey(caller, idempotencyKey),
    list: (caller, query) => index.list(caller, query),
    append: (caller, id, event, change) => index.append(caller, id, event, change),
    eventAfter: (caller, id, seq) => index.eventAfter(caller, id, seq),
    hold: (caller, id) => index.hold(caller, id),
    save: (caller, id, saved) => index.save(caller, id, saved),
    takeLeft: () => index.takeLeft(),
    letGo: (caller, id) => index.letGo(caller, id),
    flush: () => index.flush(),
    failed: () => index.failed(),
    reopen: () => index.reopen(),
    close: () => index.close(),
  }
}

class TaskIndex implements Omit<TaskStore, 'retentionMs'> {
  readonly #openBackend: () => Backend
  readonly #options: IndexOptions
  readonly #shares: Shares
  /** No process runs these. */
  readonly #left = new Set<Entry>()
  readonly #sweeper: NodeJS.Timeout
  #backend: Backend
  #closed = false
  #lastNumber = 0

  constructor(openBackend: () => Backend, options: IndexOptions) {
    this.#openBackend = openBackend
    this.#options = options
    this.#shares = createShares(options, (entry) => {
      this.#left.delete(entry)
      this.#backend.remove(entry.record.number)
    })
    this.#backend = openBackend()
    this.#takeAllIn()
    // a timer, so that room comes back on an idle agent too
    this.#sweeper = setInterval(
      () => {
        try {
          this.#sweep()
        } catch {
          // the store has failed; the next use of it throws the error
        }
      },
      Math.min(Math.max(options.retentionMs / 10, 1_000), 60_000),
    ).unref()
  }

  create({ inputBytes, beginning, ...task }: NewTask): TaskRecord {
    this.#sweep()
    const record: TaskRecord = Object.freeze({
      ...task,
      number: this.#lastNumber + 1,
      updatedMs: task.createdMs,
      endedMs: null,
      state: 'submitted' as const,
      lastSeq: 0,
      failure: null,
      inputs: Object.freeze([]),
    })
    const cost = recordBytes(record) + inputBytes
    const room = this.#shares.makeRoom(task.caller, cost, 1)
    if (room !== 'yes') throw full(room, this.#options)
    this.#backend.add(record, beginning)
    this.#lastNumber += 1
    this.#shares.add({ record, inputBytes, savedBytes: 0 }, cost)
    return record
  }

  get(caller: string, id: string): TaskRecord | null {
    this.#sweep()
    return this.#shares.find(caller, id)?.record ?? null
  }

  findByKey(caller: string, idempotencyKey: string): TaskRecord | null {
    this.#sweep()
    return this.#shares.findByKey(caller, idempotencyKey)?.record ?? null
  }

  list(caller: string, { states, labels, before, limit }: TaskQuery): readonly TaskRecord[] {
    this.#sweep()
    const wanted = Object.entries(labels)
    const found: TaskRecord[] = []
    for (const { record } of this.#shares.newestFirst(caller)) {
      if (found.length >= limit) break
      if (before !== null && record.number >= before) continue
      if (states.length > 0 && !states.includes(record.state)) continue
      if (!wanted.every(([key, value]) => carries(record, key, value))) continue
      found.push(record)
    }
    return found
  }

  append(caller: string, id: string, event: StoredEvent, { ...next }: TaskChange): TaskRecord {
    const entry = this.#shares.find(caller, id)
    if (entry === undefined) throw new MeshError('MESH_TASK_NOT_FOUND')
    if (entry.record.endedMs !== null) throw new TypeError('the task has ended')
    if (event.seq !== entry.record.lastSeq + 1)
      throw new TypeError(`event ${event.seq} does not follow ${entry.record.lastSeq}`)
    const record = Object.freeze({ ...entry.record, ...next, lastSeq: event.seq })
    const cost = event.bytes.length + EVENT_BYTES
    if (record.endedMs === null)
      this.#change(entry, cost, () => this.#backend.append(record, event))
    else {
      this.#backend.append(record, event)
      this.#shares.grow(entry, cost - entry.inputBytes - entry.savedBytes)
      entry.inputBytes = 0
      entry.savedBytes = 0
    }
    entry.record = record
    if (record.endedMs !== null) {
      this.#left.delete(entry)
      this.#shares.end(entry)
    }
    return record
  }

  eventAfter(caller: string, id: string, seq: number): StoredEvent | null {
    const entry = this.#shares.find(caller, id)
    if (entry === undefined || seq >= entry.record.lastSeq) return null
    return this.#backend.eventAfter(entry.record.number, seq)
  }

  hold(caller: string, id: string): (whole: boolean) => void {
    const entry = this.#shares.find(caller, id)
    return entry === undefined ? () => {} : this.#shares.hold(entry)
  }

  save(caller: string, id: string, saved: string): void {
    const entry = this.#shares.find(caller, id)
    if (entry === undefined || entry.record.endedMs !== null) return
    const { number, inputs } = entry.record
    const checkpoint = { saved, asked: inputs.length, runs: 0 }
    const bytes = Buffer.byteLength(saved)
    this.#change(entry, bytes - entry.savedBytes, () => this.#backend.save(number, checkpoint))
    entry.savedBytes = bytes
  }

  takeLeft(): readonly LeftTask[] {
    const taken = [...this.#left].map((entry) => this.#take(entry))
    this.#left.clear()
    return taken
  }

  letGo(caller: string, id: string): void {
    const entry = this.#shares.find(caller, id)
    if (entry !== undefined && entry.record.endedMs === null) this.#left.add(entry)
  }

  flush(): void {
    this.#backend.flush()
  }

  failed(): boolean {
    return !this.#closed && this.#backend.failed()
  }

  reopen(): void {
    if (this.#closed || !this.#backend.failed()) return
    this.#backend.close()
    this.#backend = this.#openBackend()
    this.#shares.clear()
    this.#left.clear()
    this.#takeAllIn()
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#sweeper)
    this.#shares.clear()
    this.#left.clear()
    this.#backend.close()
  }

  #sweep(): void {
    this.#shares.dropEndedBefore(this.#options.now() - this.#options.retentionMs)
  }

  #change(entry: Entry, cost: number, write: () => void): void {
    const { maxTaskBytes } = this.#options
    if (entry.bytes + cost > maxTaskBytes)
      throw new MeshError('MESH_LIMIT_SIZE', `the task made more than ${maxTaskBytes} bytes`)
    const room = this.#shares.makeRoom(entry.record.caller, cost, 0)
    if (room !== 'yes') throw full(room, this.#options)
    write()
    this.#shares.grow(entry, cost)
  }

  #take(entry: Entry): LeftTask {
    const { number } = entry.record
    const again = this.#backend.again(number)
    if (again === null) return { record: entry.record, again }
    const checkpoint = { ...again.checkpoint, runs: again.checkpoint.runs + 1 }
    this.#backend.save(number, checkpoint)
    return { record: entry.record, again: { ...again, checkpoint } }
  }

  #takeAllIn(): void {
    this.#lastNumber = this.#backend.lastNumber
    const entries = this.#backend.found.map((found) => this.#takeIn(found))
    const ended = entries.filter(({ record }) => record.endedMs !== null)
    // in the order in which they ended
    for (const entry of ended.sort((a, b) => (a.record.endedMs ?? 0) - (b.record.endedMs ?? 0)))
      this.#shares.end(entry)
  }

  #takeIn({ record, events, eventBytes, inputBytes, savedBytes }: FoundTask): Entry {
    const held = record.endedMs === null ? inputBytes : 0
    const cost = recordBytes(record) + eventBytes + events * EVENT_BYTES + held + savedBytes
    const entry = this.#shares.add({ record, inputBytes: held, savedBytes }, cost)
    if (record.endedMs === null) this.#left.add(entry)
    return entry
  }
}

function full(room: 'caller' | 'all', options: IndexOptions): MeshError {
  const { maxTasksPerCaller, maxCallerBytes, maxTasks, maxBytes } = options
  const [whose, tasks, bytes] =
    room === 'caller'
      ? ['of one caller', maxTasksPerCaller, maxCallerBytes]
      : ['in all', maxTasks, maxBytes]
  return new MeshError(
    'MESH_TASK_STORE_FULL',
    `the agent holds as much as it may ${whose}: ${tasks} tasks, ${bytes} bytes`,
  )
}

function carries({ labels }: TaskRecord, key: string, value: string): boolean {
  return Object.hasOwn(labels, key) && labels[key] === value
}

function recordBytes({ labels, tree }: TaskRecord): number {
  return Object.entries(labels).reduce(
    (sum, [key, value]) => sum + 2 * (key.length + value.length),
    RECORD_BYTES + (tree?.length ?? 0),
  )
}
