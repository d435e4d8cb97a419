/**
 * What every task store has in common: the records in memory, the shares of callers, retention. Bounded for the store, for
 * each caller and for each task, so that no caller can use up the room of the callee or the share of another caller.
 */
import { MeshError } from '@clawmesh/proto'
import type {
  LeftTask,
  NewTask,
  TaskChange,
  TaskRecord,
  TaskStore,
} from '../../model/task-store.ts'
import type { Backend, FoundTask } from './backend.ts'
import { createShares, type Entry, type ShareLimits } from './shares.ts'

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
  const { maxTaskBytes, retentionMs, now } = options
  const shares = createShares(options, (entry) => {
    left.delete(entry)
    shelf.remove(entry.record.number)
  })
  // nobody runs these
  const left = new Set<Entry>()
  let shelf = openBackend()
  let closed = false
  let lastNumber = 0

  const takeIn = ({ record, events, eventBytes, inputBytes, savedBytes }: FoundTask) => {
    const held = record.endedMs === null ? inputBytes : 0
    const cost = recordBytes(record) + eventBytes + events * EVENT_BYTES + held + savedBytes
    const entry = shares.add({ record, inputBytes: held, savedBytes }, cost)
    if (record.endedMs === null) left.add(entry)
    return entry
  }
  const sweep = () => shares.dropEndedBefore(now() - retentionMs)
  const change = (entry: Entry, cost: number, write: () => void) => {
    if (entry.bytes + cost > maxTaskBytes)
      throw new MeshError('MESH_LIMIT_SIZE', `the task made more than ${maxTaskBytes} bytes`)
    const room = shares.makeRoom(entry.record.caller, cost, 0)
    if (room !== 'yes') throw full(room, options)
    write()
    shares.grow(entry, cost)
  }
  const take = (entry: Entry): LeftTask => {
    const { number } = entry.record
    const again = shelf.again(number)
    if (again === null) return { record: entry.record, again }
    const checkpoint = { ...again.checkpoint, runs: again.checkpoint.runs + 1 }
    shelf.save(number, checkpoint)
    return { record: entry.record, again: { ...again, checkpoint } }
  }

  const takeAllIn = () => {
    lastNumber = shelf.lastNumber
    const found = shelf.found.map(takeIn).filter(({ record }) => record.endedMs !== null)
    // in the order in which they ended
    for (const entry of found.sort((a, b) => (a.record.endedMs ?? 0) - (b.record.endedMs ?? 0)))
      shares.end(entry)
  }
  takeAllIn()
  // a timer, so that room comes back on an idle agent too
  const sweeper = setInterval(
    () => {
      try {
        sweep()
      } catch {
        // the store has failed; whoever uses it next is told
      }
    },
    Math.min(Math.max(retentionMs / 10, 1_000), 60_000),
  ).unref()

  return {
    retentionMs,
    create({ inputBytes, beginning, ...task }: NewTask): TaskRecord {
      sweep()
      const record: TaskRecord = Object.freeze({
        ...task,
        number: lastNumber + 1,
        updatedMs: task.createdMs,
        endedMs: null,
        state: 'submitted' as const,
        lastSeq: 0,
        failure: null,
        inputs: Object.freeze([]),
      })
      const cost = recordBytes(record) + inputBytes
      const room = shares.makeRoom(task.caller, cost, 1)
      if (room !== 'yes') throw full(room, options)
      shelf.add(record, beginning)
      lastNumber += 1
      shares.add({ record, inputBytes, savedBytes: 0 }, cost)
      return record
    },
    get(caller, id) {
      sweep()
      return shares.find(caller, id)?.record ?? null
    },
    findByKey(caller, idempotencyKey) {
      sweep()
      return shares.findByKey(caller, idempotencyKey)?.record ?? null
    },
    list(caller, { states, labels, before, limit }) {
      sweep()
      const wanted = Object.entries(labels)
      const found: TaskRecord[] = []
      for (const { record } of shares.newestFirst(caller)) {
        if (found.length >= limit) break
        if (before !== null && record.number >= before) continue
        if (states.length > 0 && !states.includes(record.state)) continue
        if (!wanted.every(([key, value]) => carries(record, key, value))) continue
        found.push(record)
      }
      return found
    },
    append(caller, id, event, { ...next }: TaskChange): TaskRecord {
      const entry = shares.find(caller, id)
      if (entry === undefined) throw new MeshError('MESH_TASK_NOT_FOUND')
      if (entry.record.endedMs !== null) throw new TypeError('the task has ended')
      if (event.seq !== entry.record.lastSeq + 1)
        throw new TypeError(`event ${event.seq} does not follow ${entry.record.lastSeq}`)
      const record = Object.freeze({ ...entry.record, ...next, lastSeq: event.seq })
      const cost = event.bytes.length + EVENT_BYTES
      if (record.endedMs === null) change(entry, cost, () => shelf.append(record, event))
      else {
        shelf.append(record, event)
        shares.grow(entry, cost - entry.inputBytes - entry.savedBytes)
        entry.inputBytes = 0
        entry.savedBytes = 0
      }
      entry.record = record
      if (record.endedMs !== null) {
        left.delete(entry)
        shares.end(entry)
      }
      return record
    },
    eventAfter(caller, id, seq) {
      const entry = shares.find(caller, id)
      if (entry === undefined || seq >= entry.record.lastSeq) return null
      return shelf.eventAfter(entry.record.number, seq)
    },
    hold(caller, id) {
      const entry = shares.find(caller, id)
      return entry === undefined ? () => {} : shares.hold(entry)
    },
    save(caller, id, saved) {
      const entry = shares.find(caller, id)
      if (entry === undefined || entry.record.endedMs !== null) return
      const checkpoint = { saved, asked: entry.record.inputs.length, runs: 0 }
      const bytes = Buffer.byteLength(saved)
      change(entry, bytes - entry.savedBytes, () => shelf.save(entry.record.number, checkpoint))
      entry.savedBytes = bytes
    },
    takeLeft() {
      const taken = [...left].map(take)
      left.clear()
      return taken
    },
    letGo(caller, id) {
      const entry = shares.find(caller, id)
      if (entry !== undefined && entry.record.endedMs === null) left.add(entry)
    },
    flush: () => shelf.flush(),
    failed: () => !closed && shelf.failed(),
    reopen() {
      if (closed || !shelf.failed()) return
      shelf.close()
      shelf = openBackend()
      shares.clear()
      left.clear()
      takeAllIn()
    },
    close() {
      closed = true
      clearInterval(sweeper)
      shares.clear()
      left.clear()
      shelf.close()
    },
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
