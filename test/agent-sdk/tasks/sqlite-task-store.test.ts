/** What only a file can do: survive, be torn, be somebody else's. */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { createSqliteTaskStore, type TaskStore } from '@clawmesh/agent-sdk'

const LOCKER = fileURLToPath(new URL('../../support/task-store-holder.ts', import.meta.url))

describe('the file of a task store', () => {
  const dir = mkdtempSync(join(tmpdir(), 'clawmesh-store-file-'))
  const stores: TaskStore[] = []
  let count = 0
  let file = ''
  const open = (of = file, limits: { readonly maxTasksPerCaller?: number } = {}) => {
    const store = createSqliteTaskStore({ file: of, ...limits })
    stores.push(store)
    return store
  }
  const fill = (store: TaskStore, tasks = 20) => {
    for (let i = 0; i < tasks; i += 1) {
      const at = { createdMs: Date.now(), deadlineMs: null, detached: false, inputBytes: 3 }
      const what = { idempotencyKey: `k${i}`, contentHash: 'h', skill: 's', labels: { n: `${i}` } }
      const beginning = { request: Buffer.from('abc'), traceparent: null, delegationToken: 't' }
      store.create({ caller: 'a', id: `${i}`, tree: 'h.p.', ...at, ...what, beginning })
      const change = { updatedMs: Date.now() }
      const bytes = Buffer.alloc(10_000, i)
      store.append('a', `${i}`, { seq: 1, bytes }, { ...change, state: 'working' })
      const failure = { state: 'failed', code: 'c', message: 'm', retryable: false } as const
      const end = { state: 'failed', failure, endedMs: Date.now() } as const
      if (i % 2 === 0) store.append('a', `${i}`, { seq: 2, bytes }, { ...change, ...end })
    }
  }
  beforeEach(() => {
    count += 1
    file = join(dir, `${count}.db`)
  })
  afterEach(() => {
    for (const store of stores.splice(0)) store.close()
  })
  after(() => rmSync(dir, { recursive: true }))

  it('is readable by its owner only, the log beside it as well', () => {
    fill(open())
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.equal(statSync(`${file}-wal`).mode & 0o777, 0o600)
  })

  it('opened again, it holds the same tasks and events, and knows which were left', () => {
    const first = open()
    fill(first)
    const before = Array.from({ length: 20 }, (_, i) => first.get('a', `${i}`))
    first.close()
    const again = open()
    assert.deepEqual(
      Array.from({ length: 20 }, (_, i) => again.get('a', `${i}`)),
      before,
    )
    assert.equal(again.findByKey('a', 'k7')?.id, '7')
    assert.ok(again.eventAfter('a', '7', 0)?.bytes.equals(Buffer.alloc(10_000, 7)))
    assert.deepEqual(
      again.takeLeft().map(({ record }) => record.id),
      Array.from({ length: 10 }, (_, i) => `${i * 2 + 1}`),
    )
  })

  it('opened again, it holds no task that made room for another', () => {
    const first = open(file, { maxTasksPerCaller: 3 })
    fill(first, 4)
    const held = ['0', '1', '2', '3'].map((id) => first.get('a', id) !== null)
    assert.deepEqual(held, [false, true, true, true])
    first.close()
    const again = open()
    assert.deepEqual(
      ['0', '1', '2', '3'].map((id) => again.get('a', id) !== null),
      held,
    )
  })

  it('keeps no token of a task that has ended', () => {
    const first = open()
    fill(first, 1)
    const what = { idempotencyKey: null, contentHash: 'h', skill: 's', labels: {}, detached: false }
    const when = { createdMs: Date.now(), deadlineMs: null }
    const more = { inputBytes: 0, beginning: null, tree: 'h.p.sig' }
    first.create({ caller: 'a', id: 'other', ...what, ...when, ...more })
    assert.equal(first.get('a', 'other')?.tree, 'h.p.sig')
    first.close()
    const database = new DatabaseSync(file)
    assert.equal(database.prepare('SELECT count(*) AS n FROM beginnings').get()?.n, 0)
    // which tree it was of, it tells without the signature
    assert.equal(database.prepare("SELECT tree FROM tasks WHERE id = 'other'").get()?.tree, 'h.p.')
    database.close()
  })

  it('is one process at a time: the second is told so', async () => {
    open().close()
    const child = fork(LOCKER, [file], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    await once(child, 'message')
    assert.throws(() => open(), { code: 'MESH_TASK_STORE_LOCKED' })
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
    assert.ok(open().get('holder', 'task'), 'killed, it has let go, and what it flushed is there')
  }).timeout(60_000)

  it('within one process too', () => {
    open()
    assert.throws(() => open(), { code: 'MESH_TASK_STORE_LOCKED' })
  })

  it('empty, cut off, overwritten or not ours: refused, and left as it is', () => {
    const whole = open()
    fill(whole)
    whole.close()
    const size = statSync(file).size
    const damage: Record<string, (path: string) => void> = {
      empty: (path) => truncateSync(path, 0),
      half: (path) => truncateSync(path, Math.floor(size / 2)),
      'a page short': (path) => truncateSync(path, size - 4096),
      text: (path) => writeFileSync(path, 'this is no database'.repeat(1000)),
      noise: (path) => {
        const bytes = readFileSync(path)
        bytes.fill(0xa5, 4096, size - 4096)
        writeFileSync(path, bytes)
      },
      'of somebody else': (path) => {
        rmSync(path)
        const other = new DatabaseSync(path)
        other.exec('CREATE TABLE songs (title TEXT)')
        other.close()
      },
      'an event short': (path) => {
        const other = new DatabaseSync(path)
        other.exec('DELETE FROM events WHERE task = 3 AND seq = 1')
        other.close()
      },
      'a state that there is not': (path) => {
        const other = new DatabaseSync(path)
        other.exec("UPDATE tasks SET state = 'lost' WHERE number = 4")
        other.close()
      },
    }
    for (const [what, harm] of Object.entries(damage)) {
      const path = `${file}.${what.replaceAll(' ', '-')}`
      copyFileSync(file, path)
      harm(path)
      const before = readFileSync(path)
      assert.throws(() => open(path), { code: 'MESH_TASK_STORE_CORRUPT' }, what)
      assert.ok(readFileSync(path).equals(before), what)
    }
  })

  it('of a newer version: refused', () => {
    open().close()
    const newer = new DatabaseSync(file)
    newer.exec('PRAGMA user_version = 99')
    newer.close()
    assert.throws(() => open(), { code: 'MESH_TASK_STORE_VERSION' })
  })

  it('in a directory that is not there: says what to do', () => {
    assert.throws(() => open(join(dir, 'missing', 'tasks.db')), { code: 'MESH_TASK_STORE_FAILED' })
  })

  it('forgets events bit by bit, also those that an earlier process did not come to', async () => {
    const first = open()
    fill(first)
    first.close()
    const crashed = new DatabaseSync(file)
    crashed.exec('DELETE FROM tasks WHERE number <= 10')
    crashed.close()
    const second = open()
    for (let i = 0; i < 200; i += 1) await new Promise(setImmediate)
    second.close()
    const look = new DatabaseSync(file)
    assert.equal(look.prepare('SELECT count(*) AS n FROM events WHERE task <= 10').get()?.n, 0)
    assert.equal(look.prepare('SELECT count(*) AS n FROM events WHERE task > 10').get()?.n, 15)
    look.close()
  })

  it('never uses a number twice, even when all tasks were forgotten', () => {
    const first = open()
    fill(first, 3)
    first.close()
    const emptied = new DatabaseSync(file)
    emptied.exec('DELETE FROM tasks')
    emptied.close()
    const second = open()
    fill(second, 1)
    assert.equal(second.get('a', '0')?.number, 4)
    assert.ok(second.eventAfter('a', '0', 0))
  })

  it('what is not durable is not told: a write that fails ends all use of the store', () => {
    const store = open()
    fill(store, 2)
    store.flush()
    store.append('a', '1', { seq: 2, bytes: Buffer.alloc(10) }, { updatedMs: 0 })
    // the same number again, as a disk that is full would refuse it
    const clash = new Error('disk full')
    const { exec } = DatabaseSync.prototype
    DatabaseSync.prototype.exec = () => {
      throw clash
    }
    try {
      assert.throws(() => store.flush(), { code: 'MESH_TASK_STORE_FAILED' })
    } finally {
      DatabaseSync.prototype.exec = exec
    }
    assert.throws(() => store.eventAfter('a', '1', 0), { code: 'MESH_TASK_STORE_FAILED' })
    store.close()
    assert.equal(open().get('a', '1')?.lastSeq, 1)
  })
})
