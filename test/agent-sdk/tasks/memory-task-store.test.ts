import assert from 'node:assert/strict'
import {
  createMemoryTaskStore,
  type MemoryTaskStoreOptions,
  type TaskStore,
} from '@clawmesh/agent-sdk'

describe('the task store in memory', () => {
  let now = 1_000_000
  let store: TaskStore
  const open = (options: MemoryTaskStoreOptions = {}) => {
    store = createMemoryTaskStore({ now: () => now, ...options })
    return store
  }
  const create = (caller: string, id: string, more: { key?: string; inputBytes?: number } = {}) =>
    store.create({
      ...{ caller, id, idempotencyKey: more.key ?? null, contentHash: 'h', skill: 's' },
      ...{ labels: {}, detached: false, deadlineMs: null, createdMs: now },
      inputBytes: more.inputBytes ?? 0,
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
})
