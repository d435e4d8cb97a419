/** One stream's place in the events of a task. */
import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { MeshError } from '@clawmesh/proto'
import type { TaskStore } from '../../../agent-sdk/src/model/task-store.ts'
import { createTaskReader } from '../../../agent-sdk/src/tasks/task-reader.ts'
import { CALLER, GRACE_MS, startOneTask } from './one-task.ts'

describe('a reader of a task', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
  afterEach(() => mock.timers.reset())

  const start = (wrap?: (inner: TaskStore) => TaskStore) => {
    const task = startOneTask(wrap === undefined ? {} : { store: wrap })
    const read = (afterSeq = 0, live: typeof task.live | null = task.live) =>
      createTaskReader(task.store, task.live.record(), live, afterSeq)
    const say = (text: string) => task.live.emit({ kind: 'message', text })
    return { ...task, read, say }
  }

  it('reads from its place on, and is done when the task has ended and all of it was read', () => {
    const { live, read, say } = start()
    say('one')
    say('two')
    const reader = read(1)
    assert.equal(reader.id, 'one')
    assert.equal(reader.next()?.seq, 2)
    assert.equal(reader.next(), null)
    assert.equal(reader.done(), false, 'it runs')
    live.complete([])
    assert.equal(reader.done(), false, 'its end was not read')
    assert.equal(reader.next()?.seq, 3)
    assert.equal(reader.done(), true)
    reader.close()
    assert.equal(read(3, null).done(), true)
  })

  it('reads nothing that is not on disk', () => {
    const calls: string[] = []
    const { read } = start((inner) => ({
      ...inner,
      flush: () => void calls.push('flush'),
      eventAfter(...args) {
        calls.push('read')
        return inner.eventAfter(...args)
      },
    }))
    read().next()
    assert.deepEqual(calls, ['flush', 'read'])
  })

  it('follows the task: it is no orphan until the reader is closed', () => {
    const { live, read } = start()
    const reader = read()
    mock.timers.tick(10 * GRACE_MS)
    assert.equal(live.ended(), false)
    reader.close()
    mock.timers.tick(GRACE_MS)
    assert.equal(live.record().state, 'orphaned')
  })

  it('hears of events until it is closed', async () => {
    const { read, say } = start()
    const reader = read()
    const heard: string[] = []
    reader.onChange(() => void heard.push('first'))
    reader.onChange(() => void heard.push('second'))
    say('one')
    await new Promise(setImmediate)
    assert.equal(heard.length, 2)
    reader.close()
    say('two')
    await new Promise(setImmediate)
    assert.equal(heard.length, 2)
  })

  it('of a task that nobody runs and that has not ended is told to come again', () => {
    const { live, read, say } = start()
    say('one')
    const again = { code: 'MESH_PEER_DRAINING', retryAfterMs: 500 }
    assert.throws(() => read(0, null), again)
    const reader = read()
    live.interrupt()
    assert.equal(reader.next()?.seq, 1, 'what was told is read')
    assert.throws(() => reader.next(), again)
    const ended = start()
    ended.live.complete([])
    const last = ended.read(0, null)
    last.onChange(() => assert.fail('nothing happens any more'))
    assert.equal(last.next()?.seq, 1)
    assert.equal(last.next(), null)
    last.close()
  })

  it('of a task that is kept no longer is told so, and has read all there is', () => {
    let gone = false
    const { read } = start((inner) => ({
      ...inner,
      get: (...args) => (gone ? null : inner.get(...args)),
      eventAfter: (...args) => (gone ? null : inner.eventAfter(...args)),
    }))
    const reader = read()
    gone = true
    assert.throws(
      () => reader.next(),
      (error) => {
        return error instanceof MeshError && error.code === 'MESH_TASK_NOT_FOUND'
      },
    )
    assert.equal(reader.done(), true)
  })

  it('holds the task while it is open, and tells the store whether all of it was read', () => {
    const released: boolean[] = []
    let held = 0
    const { live, read } = start((inner) => ({
      ...inner,
      hold(caller, id) {
        assert.deepEqual([caller, id], [CALLER, 'one'])
        held += 1
        return (whole) => void released.push(whole)
      },
    }))
    const early = read()
    live.complete([])
    const late = read()
    assert.equal(held, 2)
    late.next()
    assert.equal(late.done(), true)
    early.done()
    assert.deepEqual(released, [])
    early.close()
    late.close()
    assert.deepEqual(released, [false, true])
  })
})
