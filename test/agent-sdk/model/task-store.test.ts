import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createMemoryTaskStore,
  createSqliteTaskStore,
  type MemoryTaskStoreOptions,
  type TaskStore,
} from '@clawmesh/agent-sdk'

const BEGINNING = {
  request: Buffer.from('the request'),
  traceparent: 'a trace',
  delegationToken: 'a token',
}
const dir = mkdtempSync(join(tmpdir(), 'clawmesh-store-'))
let files = 0
const KINDS = {
  'the task store in memory': createMemoryTaskStore,
  'the task store in a file': (options: MemoryTaskStoreOptions) => {
    files += 1
    return createSqliteTaskStore({ file: join(dir, `${files}.db`), ...options })
  },
}
after(() => rmSync(dir, { recursive: true }))

for (const [title, make] of Object.entries(KINDS))
  describe(title, () => {
    let now = 1_000_000
    let store: TaskStore
    const open = (options: MemoryTaskStoreOptions = {}) => {
      store = make({ now: () => now, ...options })
      return store
    }
    const create = (
      caller: string,
      id: string,
      more: {
        key?: string
        inputBytes?: number
        again?: boolean
        labels?: Record<string, string>
        tree?: string
      } = {},
    ) =>
      store.create({
        ...{ caller, id, idempotencyKey: more.key ?? null, contentHash: 'h', skill: 's' },
        ...{
          labels: more.labels ?? {},
          detached: false,
          tree: more.tree ?? null,
          deadlineMs: null,
          createdMs: now,
        },
        inputBytes: more.inputBytes ?? 0,
        beginning: more.again === true ? BEGINNING : null,
      })
    const add = (caller: string, id: string, bytes: number, end = false) => {
      const seq = (store.get(caller, id)?.lastSeq ?? 0) + 1
      const change = end ? { endedMs: now, state: 'completed' as const } : {}
      return store.append(
        caller,
        id,
        { seq, bytes: Buffer.alloc(bytes) },
        { updatedMs: now, ...change },
      )
    }
    afterEach(() => store.close())

    it('keeps tasks by caller and id: the same id of two callers is two tasks', () => {
      open()
      create('a', '1', { key: 'k' })
      assert.equal(store.get('b', '1'), null)
      assert.equal(store.findByKey('b', 'k'), null)
      create('b', '1')
      add('b', '1', 10)
      assert.equal(store.get('a', '1')?.lastSeq, 0)
      assert.equal(store.findByKey('a', 'k')?.id, '1')
    })

    it('forgets a task when its retention is over, its key as well', () => {
      open({ retentionMs: 5_000 })
      create('a', '1', { key: 'k' })
      create('a', '2')
      add('a', '1', 10, true)
      now += 4_999
      assert.ok(store.get('a', '1'))
      now += 2
      assert.equal(store.get('a', '1'), null)
      assert.equal(store.findByKey('a', 'k'), null)
      assert.equal(store.eventAfter('a', '1', 0), null)
      assert.ok(store.get('a', '2'), 'one that runs stays')
    })

    it('takes so many tasks of a caller and so many in all; one caller cannot use up what is others', () => {
      open({ maxTasks: 3, maxTasksPerCaller: 2, retentionMs: 1_000 })
      create('a', '1')
      create('a', '2')
      assert.throws(() => create('a', '3'), { code: 'MESH_TASK_STORE_FULL' })
      create('b', '1')
      assert.throws(() => create('c', '1'), { code: 'MESH_TASK_STORE_FULL' })
      add('a', '1', 1, true)
      now += 1_001
      create('c', '1')
    })

    it('takes so many bytes of a task, a caller and in all; the event that ends a task always fits', () => {
      open({ maxTaskBytes: 5_000, maxCallerBytes: 10_000, maxBytes: 15_000 })
      create('a', '1')
      add('a', '1', 2_000)
      assert.throws(() => add('a', '1', 2_000), { code: 'MESH_LIMIT_SIZE' })
      add('a', '1', 2_000, true)
      create('a', '2', { inputBytes: 1_000 })
      assert.throws(() => create('a', '3', { inputBytes: 5_000 }), { code: 'MESH_TASK_STORE_FULL' })
      add('a', '2', 10, true)
      create('b', '1', { inputBytes: 100 })
      assert.throws(() => create('c', '1', { inputBytes: 4_000 }), { code: 'MESH_TASK_STORE_FULL' })
    })

    it('counts the labels of a task and the token of its tree among its bytes', () => {
      open({ maxCallerBytes: 10_000 })
      const labels = { note: 'x'.repeat(5_000) }
      assert.throws(() => create('a', '1', { labels }), { code: 'MESH_TASK_STORE_FULL' })
      create('a', '1', { tree: 'h.p.'.padEnd(4_000, 's') })
      const tree = 'h.p.'.padEnd(2_500, 's')
      assert.throws(() => create('a', '2', { tree }), { code: 'MESH_TASK_STORE_FULL' })
      create('a', '2')
    })

    it('drops the oldest ended task of a caller for a new one of the same caller, never one that runs or one of others', () => {
      open({ maxTasks: 3, maxTasksPerCaller: 2 })
      create('b', '1')
      add('b', '1', 1, true)
      create('a', '1', { key: 'k' })
      create('a', '2')
      add('a', '1', 1, true)
      create('a', '3')
      assert.equal(store.get('a', '1'), null)
      assert.equal(store.findByKey('a', 'k'), null)
      assert.ok(store.get('a', '2') && store.get('b', '1'))
      assert.throws(() => create('a', '4'), { code: 'MESH_TASK_STORE_FULL' })
      assert.throws(() => create('c', '1'), { code: 'MESH_TASK_STORE_FULL' })
    })

    it('keeps what is being read, says that it is full, and drops what was read to its end first', () => {
      open({ maxCallerBytes: 20_000, retentionMs: 1_000 })
      const fill = (id: string) => {
        create('a', id)
        add('a', id, 3_000)
        add('a', id, 10, true)
      }
      fill('1')
      fill('2')
      fill('3')
      const reading = store.hold('a', '1')
      const again = store.hold('a', '1')
      store.hold('a', '3')(true)
      fill('4')
      assert.equal(store.get('a', '3'), null, 'the one that was read to its end')
      assert.ok(store.get('a', '2'), 'though it ended earlier')
      fill('5')
      assert.equal(store.get('a', '2'), null, 'then the oldest of those that nobody reads')
      const others = ['4', '5'].map((id) => store.hold('a', id))
      create('a', '6')
      assert.throws(() => add('a', '6', 4_000), {
        code: 'MESH_TASK_STORE_FULL',
        message: 'the agent holds as much as it may of one caller: 1000 tasks, 20000 bytes',
      })
      create('b', '1')
      add('b', '1', 4_000)
      reading(true)
      reading(true)
      assert.throws(() => add('a', '6', 4_000), { code: 'MESH_TASK_STORE_FULL' })
      now += 2_000
      assert.ok(store.get('a', '1'), 'somebody else reads it still, retention or not')
      assert.equal(store.eventAfter('a', '1', 1)?.seq, 2)
      again(false)
      assert.equal(store.get('a', '1'), null)
      for (const release of others) release(false)
      add('a', '6', 4_000)
      assert.equal(store.hold('a', 'gone')(true), undefined)
    })

    it('gives bytes back when tasks are forgotten', () => {
      open({ maxBytes: 100_000, retentionMs: 10 })
      for (let i = 0; i < 1_000; i += 1) {
        create('a', String(i))
        add('a', String(i), 50_000, true)
        now += 11
      }
    })

    it('takes events in order only', () => {
      open()
      create('a', '1')
      const event = { seq: 2, bytes: Buffer.alloc(1) }
      assert.throws(() => store.append('a', '1', event, { updatedMs: now }), TypeError)
    })

    it('gives events back as they were put, and none before its turn', () => {
      open()
      create('a', '1')
      const bytes = [Buffer.from('one'), Buffer.alloc(100_000, 7), Buffer.alloc(0)]
      bytes.forEach((each, index) => {
        store.append('a', '1', { seq: index + 1, bytes: each }, { updatedMs: now })
      })
      store.flush()
      bytes.forEach((each, index) => {
        const event = store.eventAfter('a', '1', index)
        assert.equal(event?.seq, index + 1)
        assert.ok(event?.bytes.equals(each))
      })
      assert.equal(store.eventAfter('a', '1', 3), null)
      assert.equal(store.eventAfter('a', '1', 1_000_000), null)
      assert.equal(store.eventAfter('b', '1', 0), null)
    })

    it('takes nothing more once the task has ended', () => {
      open()
      create('a', '1')
      add('a', '1', 1, true)
      assert.throws(() => add('a', '1', 1), TypeError)
      store.save('a', '1', '{}')
      assert.equal(store.get('a', '1')?.lastSeq, 1)
    })

    it('lists the tasks of one caller, the newest first, by state and label, page by page', () => {
      open()
      for (let i = 1; i <= 5; i += 1)
        create('a', String(i), {
          labels: { parity: i % 2 === 0 ? 'even' : 'odd', ['__proto__']: 'x' },
        })
      create('b', '6')
      add('a', '4', 1, true)
      const list = (query: object = {}) =>
        store.list('a', { states: [], labels: {}, before: null, limit: 50, ...query })
      const ids = (query?: object) => list(query).map(({ id }) => id)
      assert.deepEqual(ids(), ['5', '4', '3', '2', '1'])
      assert.deepEqual(ids({ states: ['completed'] }), ['4'])
      assert.deepEqual(ids({ states: ['submitted', 'completed'], labels: { parity: 'even' } }), [
        '4',
        '2',
      ])
      assert.deepEqual(ids({ labels: { toString: 'x' } }), [])
      const [first] = list({ limit: 1 })
      assert.deepEqual(ids({ before: first?.number, limit: 2 }), ['4', '3'])
      assert.deepEqual(store.list('c', { states: [], labels: {}, before: null, limit: 1 }), [])
    })

    it('hands out what was let go of, once, with its beginning and what was saved; what has ended never', () => {
      open()
      create('a', '1', { again: true })
      create('a', '2')
      create('a', '3', { again: true })
      assert.deepEqual(store.takeLeft(), [], 'all of them run')
      store.save('a', '1', '{"page":2}')
      for (const id of ['1', '2', '3']) store.letGo('a', id)
      add('a', '3', 1, true)
      const [one, two, ...more] = store.takeLeft()
      assert.equal(more.length, 0)
      assert.equal(one?.record.id, '1')
      assert.equal(one?.again?.beginning.delegationToken, 'a token')
      assert.deepEqual(Buffer.from(one?.again?.beginning.request ?? ''), BEGINNING.request)
      assert.deepEqual(one?.again?.checkpoint, { saved: '{"page":2}', asked: 0, runs: 1 })
      assert.deepEqual([two?.record.id, two?.again], ['2', null])
      assert.deepEqual(store.takeLeft(), [])
      store.letGo('a', '1')
      assert.equal(store.takeLeft()[0]?.again?.checkpoint.runs, 2)
      store.save('a', '1', '{"page":3}')
      store.letGo('a', '1')
      assert.equal(store.takeLeft()[0]?.again?.checkpoint.runs, 1, 'it came further')
    })

    it('counts what a skill saves, and gives it back at the end', () => {
      open({ maxTaskBytes: 5_000, maxCallerBytes: 6_000 })
      create('a', '1', { again: true })
      store.save('a', '1', 'x'.repeat(2_500))
      store.save('a', '1', 'y'.repeat(2_500))
      assert.throws(() => store.save('a', '1', 'x'.repeat(4_000)), { code: 'MESH_LIMIT_SIZE' })
      assert.throws(() => create('a', '2'), { code: 'MESH_TASK_STORE_FULL' })
      add('a', '1', 10, true)
      create('a', '2')
    })
  })
