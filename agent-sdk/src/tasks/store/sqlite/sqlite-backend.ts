/**
 * Events and beginnings in a file. All that is written within one turn of the event loop is one transaction, so
 * that thousands of tasks share one wait for the disk; `flush` ends the wait at once.
 * When the file cannot be written, nothing is any more: memory and file may no longer agree. It has to be opened anew then.
 */
import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import { MeshError } from '@clawmesh/proto'
import type { Beginning, Checkpoint, StoredEvent, TaskRecord } from '../../../model/task-store.ts'
import type { Backend, FoundTask } from '../backend.ts'
import { againOf, bytesOf, integerOf, type Row, recordOf } from './rows.ts'

// what is forgotten is taken out bit by bit, so that a gigabyte holds nobody up
const ROWS_AT_ONCE = 16

export function createSqliteBackend(database: DatabaseSync): Backend {
  return new SqliteBackend(database)
}

class SqliteBackend implements Backend {
  readonly found: readonly FoundTask[]
  readonly lastNumber: number
  readonly #database: DatabaseSync
  readonly #statement: ReturnType<typeof createStatements>
  /** A transaction is open. */
  #open = false
  #closed = false
  #failed: MeshError | null = null
  /** Numbers of the tasks whose events are still to be deleted. */
  readonly #forgotten: number[] = []
  #clearing: NodeJS.Immediate | null = null

  constructor(database: DatabaseSync) {
    this.#database = database
    const statement = createStatements(database)
    this.#statement = statement
    this.found = this.#guarded(() => statement.all.all().map(foundTask))
    if (this.found.some(({ record, events }) => events !== record.lastSeq))
      throw new MeshError('MESH_TASK_STORE_CORRUPT', 'events of a task are missing in the store')
    const last = statement.lastNumber.get()
    this.lastNumber = last === undefined ? 0 : integerOf(last, 'seq')
    for (const row of statement.strays.all()) this.#forgotten.push(integerOf(row, 'task'))
    this.#clearSoon()
  }

  add(record: TaskRecord, beginning: Beginning | null): void {
    this.#write(() => {
      this.#statement.addTask.run(rowOf(record))
      if (beginning === null) return
      const { request, traceparent, delegationToken } = beginning
      this.#statement.addBeginning.run(record.number, request, traceparent, delegationToken)
    })
  }

  append(record: TaskRecord, { seq, bytes }: StoredEvent): void {
    const { number, updatedMs, endedMs, state, failure, inputs } = record
    const statement = this.#statement
    this.#write(() => {
      statement.addEvent.run(number, seq, bytes)
      const why = failure === null ? null : JSON.stringify(failure)
      statement.change.run(updatedMs, endedMs, state, why, JSON.stringify(inputs), number)
      if (endedMs !== null) statement.endBeginning.run(number)
    })
  }

  eventAfter(number: number, seq: number): StoredEvent | null {
    return this.#guarded(() => {
      const row = this.#statement.event.get(number, seq + 1)
      return row === undefined ? null : { seq: seq + 1, bytes: bytesOf(row, 'body') }
    })
  }

  save(number: number, { saved, asked, runs }: Checkpoint): void {
    this.#write(() => void this.#statement.save.run(saved, asked, runs, number))
  }

  again(number: number): ReturnType<Backend['again']> {
    return this.#guarded(() => {
      const row = this.#statement.again.get(number)
      return row === undefined ? null : againOf(row)
    })
  }

  remove(number: number): void {
    this.#write(() => {
      this.#statement.removeTask.run(number)
      this.#statement.endBeginning.run(number)
    })
    this.#forgotten.push(number)
    this.#clearSoon()
  }

  flush(): void {
    if (!this.#open && this.#failed === null) return
    this.#guarded(() => {
      this.#database.exec('COMMIT')
      this.#open = false
    })
  }

  failed(): boolean {
    return this.#failed !== null || this.#closed
  }

  close(): void {
    if (this.#closed) return
    this.#quietly(this.#flush)
    this.#closed = true
    if (this.#clearing !== null) clearImmediate(this.#clearing)
    // of a transaction that failed nothing stays
    this.#database.close()
  }

  #guarded<T>(work: () => T): T {
    if (this.#failed !== null) throw this.#failed
    if (this.#closed) throw new MeshError('MESH_TASK_STORE_FAILED', 'the task store is closed')
    try {
      return work()
    } catch (cause) {
      if (cause instanceof MeshError) throw cause
      this.#failed = new MeshError('MESH_TASK_STORE_FAILED', undefined, { cause })
      throw this.#failed
    }
  }

  #write(work: () => void): void {
    this.#guarded(() => {
      if (!this.#open) {
        this.#database.exec('BEGIN IMMEDIATE')
        this.#open = true
        setImmediate(this.#quietly, this.#flush)
      }
      work()
    })
  }

  #clearSoon(): void {
    if (this.#forgotten.length > 0)
      this.#clearing ??= setImmediate(this.#quietly, this.#clear).unref()
  }

  // what setImmediate takes, made once

  readonly #flush = () => this.flush()

  readonly #clear = () => {
    this.#clearing = null
    const number = this.#forgotten.at(-1)
    if (number === undefined || this.#closed) return
    this.#write(() => {
      const { changes } = this.#statement.clearEvents.run(number, ROWS_AT_ONCE)
      if (changes === 0) this.#forgotten.pop()
    })
    this.#clearSoon()
  }

  readonly #quietly = (work: () => void) => {
    try {
      if (!this.#closed) work()
    } catch {
      // kept in `#failed`: the next use of the store throws it
    }
  }
}

function foundTask(row: Row): FoundTask {
  return {
    record: recordOf(row),
    events: integerOf(row, 'events'),
    eventBytes: integerOf(row, 'event_bytes'),
    inputBytes: integerOf(row, 'input_bytes'),
    savedBytes: integerOf(row, 'saved_bytes'),
  }
}

function rowOf(record: TaskRecord) {
  return {
    number: record.number,
    caller: record.caller,
    id: record.id,
    idempotency_key: record.idempotencyKey,
    content_hash: record.contentHash,
    skill: record.skill,
    labels: JSON.stringify(record.labels),
    detached: record.detached ? 1 : 0,
    tree: record.tree === null ? null : unsigned(record.tree),
    deadline_ms: record.deadlineMs,
    created_ms: record.createdMs,
    updated_ms: record.updatedMs,
    state: record.state,
  } satisfies Record<string, SQLInputValue>
}

/** A JWS in compact form without what makes it a token: it still tells which tree it is of (RFC 7515, section 3.1). */
function unsigned(token: string): string {
  return token.slice(0, token.lastIndexOf('.') + 1)
}

function createStatements(database: DatabaseSync) {
  return {
    all: database.prepare(
      `SELECT tasks.*, coalesce(seen.last_seq, 0) AS last_seq, coalesce(seen.events, 0) AS events,
         coalesce(seen.bytes, 0) AS event_bytes,
         coalesce(length(request), 0) AS input_bytes, coalesce(octet_length(saved), 0) AS saved_bytes
       FROM tasks
       LEFT JOIN (SELECT task, max(seq) AS last_seq, count(*) AS events, sum(length(body)) AS bytes FROM events GROUP BY task) AS seen
         ON seen.task = number
       LEFT JOIN beginnings ON beginnings.task = number
       ORDER BY number`,
    ),
    lastNumber: database.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'tasks'"),
    strays: database.prepare(
      'SELECT DISTINCT task FROM events WHERE task NOT IN (SELECT number FROM tasks)',
    ),
    addTask: database.prepare(
      `INSERT INTO tasks (number, caller, id, idempotency_key, content_hash, skill, labels, detached, tree,
         deadline_ms, created_ms, updated_ms, ended_ms, state, failure, inputs)
       VALUES (:number, :caller, :id, :idempotency_key, :content_hash, :skill, :labels, :detached, :tree,
         :deadline_ms, :created_ms, :updated_ms, NULL, :state, NULL, '[]')`,
    ),
    addBeginning: database.prepare(
      `INSERT INTO beginnings (task, request, traceparent, delegation_token, saved, asked, runs)
       VALUES (?, ?, ?, ?, NULL, 0, 0)`,
    ),
    addEvent: database.prepare('INSERT INTO events (task, seq, body) VALUES (?, ?, ?)'),
    change: database.prepare(
      'UPDATE tasks SET updated_ms = ?, ended_ms = ?, state = ?, failure = ?, inputs = ? WHERE number = ?',
    ),
    event: database.prepare('SELECT body FROM events WHERE task = ? AND seq = ?'),
    save: database.prepare('UPDATE beginnings SET saved = ?, asked = ?, runs = ? WHERE task = ?'),
    again: database.prepare('SELECT * FROM beginnings WHERE task = ?'),
    endBeginning: database.prepare('DELETE FROM beginnings WHERE task = ?'),
    removeTask: database.prepare('DELETE FROM tasks WHERE number = ?'),
    clearEvents: database.prepare(
      `DELETE FROM events WHERE rowid IN (SELECT rowid FROM events WHERE task = ? LIMIT ?)`,
    ),
  }
}
