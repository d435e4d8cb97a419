/**
 * Events and beginnings in a file. All that is written within one turn of the event loop is one transaction, so
 * that thousands of tasks share one wait for the disk; `flush` ends the wait at once.
 * When the file cannot be written, nothing is any more: memory and file may no longer agree. It has to be opened anew then.
 */
import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import { MeshError } from '@clawmesh/proto'
import type { Backend } from '../backend.ts'
import { againOf, bytesOf, integerOf, recordOf } from './rows.ts'

// what is forgotten is taken out bit by bit, so that a gigabyte holds nobody up
const ROWS_AT_ONCE = 16

export function createSqliteBackend(database: DatabaseSync): Backend {
  const statement = createStatements(database)
  let open = false
  let closed = false
  let failed: MeshError | null = null
  const forgotten: number[] = []
  let clearing: NodeJS.Immediate | null = null

  const guarded = <T>(work: () => T): T => {
    if (failed !== null) throw failed
    if (closed) throw new MeshError('MESH_TASK_STORE_FAILED', 'the task store is closed')
    try {
      return work()
    } catch (cause) {
      if (cause instanceof MeshError) throw cause
      failed = new MeshError('MESH_TASK_STORE_FAILED', undefined, { cause })
      throw failed
    }
  }
  const flush = () => {
    if (!open && failed === null) return
    guarded(() => {
      database.exec('COMMIT')
      open = false
    })
  }
  const write = (work: () => void) =>
    guarded(() => {
      if (!open) {
        database.exec('BEGIN IMMEDIATE')
        open = true
        setImmediate(quietly, flush)
      }
      work()
    })
  const clear = () => {
    clearing = null
    const number = forgotten.at(-1)
    if (number === undefined || closed) return
    write(() => {
      if (statement.clearEvents.run(number, ROWS_AT_ONCE).changes === 0) forgotten.pop()
    })
    clearSoon()
  }
  const clearSoon = () => {
    if (forgotten.length > 0) clearing ??= setImmediate(quietly, clear).unref()
  }
  const quietly = (work: () => void) => {
    try {
      if (!closed) work()
    } catch {
      // kept in `failed`: whoever uses the store next is told
    }
  }

  const found = guarded(() =>
    statement.all.all().map((row) => ({
      record: recordOf(row),
      events: integerOf(row, 'events'),
      eventBytes: integerOf(row, 'event_bytes'),
      inputBytes: integerOf(row, 'input_bytes'),
      savedBytes: integerOf(row, 'saved_bytes'),
    })),
  )
  if (found.some(({ record, events }) => events !== record.lastSeq))
    throw new MeshError('MESH_TASK_STORE_CORRUPT', 'events of a task are missing in the store')
  const last = statement.lastNumber.get()
  for (const row of statement.strays.all()) forgotten.push(integerOf(row, 'task'))
  clearSoon()

  return {
    found,
    lastNumber: last === undefined ? 0 : integerOf(last, 'seq'),
    add(record, beginning) {
      write(() => {
        statement.addTask.run({
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
        } satisfies Record<string, SQLInputValue>)
        if (beginning === null) return
        const { request, traceparent, delegationToken } = beginning
        statement.addBeginning.run(record.number, request, traceparent, delegationToken)
      })
    },
    append(record, { seq, bytes }) {
      const { number, updatedMs, endedMs, state, failure, inputs } = record
      write(() => {
        statement.addEvent.run(number, seq, bytes)
        const why = failure === null ? null : JSON.stringify(failure)
        statement.change.run(updatedMs, endedMs, state, why, JSON.stringify(inputs), number)
        if (endedMs !== null) statement.endBeginning.run(number)
      })
    },
    eventAfter: (number, seq) =>
      guarded(() => {
        const row = statement.event.get(number, seq + 1)
        return row === undefined ? null : { seq: seq + 1, bytes: bytesOf(row, 'body') }
      }),
    save(number, { saved, asked, runs }) {
      write(() => void statement.save.run(saved, asked, runs, number))
    },
    again: (number) =>
      guarded(() => {
        const row = statement.again.get(number)
        return row === undefined ? null : againOf(row)
      }),
    remove(number) {
      write(() => {
        statement.removeTask.run(number)
        statement.endBeginning.run(number)
      })
      forgotten.push(number)
      clearSoon()
    },
    flush,
    failed: () => failed !== null || closed,
    close() {
      if (closed) return
      quietly(flush)
      closed = true
      if (clearing !== null) clearImmediate(clearing)
      // of a transaction that failed nothing stays
      database.close()
    },
  }
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
