/** Who holds how much, to the task and to the byte, and what goes to make room. */
import assert from 'node:assert/strict'
import { createShares, type ShareLimits } from '../../../../agent-sdk/src/tasks/store/shares.ts'
import { startOneTask } from '../one-task.ts'

const MANY = 1_000_000
const NO_LIMITS: ShareLimits = {
  ...{ maxTasks: MANY, maxTasksPerCaller: MANY, maxCallerBytes: MANY, maxBytes: MANY },
}
const RECORD = startOneTask({ task: { detached: true } }).live.record()

describe('the shares of callers', () => {
  const make = (limits: Partial<ShareLimits> = {}) => {
    const dropped: string[] = []
    const shares = createShares({ ...NO_LIMITS, ...limits }, (entry) => {
      const { caller, id } = entry.record
      assert.equal(shares.find(caller, id), entry, 'before it is forgotten')
      dropped.push(`${caller}${id}`)
    })
    /** A task by caller and number: `a1`. */
    const add = (
      name: string,
      bytes: number,
      endedMs: number | null = null,
      key: string | null = null,
    ) => {
      const [caller = '', ...id] = name
      const record = { ...RECORD, caller, id: id.join(''), endedMs, idempotencyKey: key }
      const entry = shares.add({ record, inputBytes: 0, savedBytes: 0 }, bytes)
      if (endedMs !== null) shares.end(entry)
      return entry
    }
    const room = (caller: string, bytes: number, tasks = 1) => shares.makeRoom(caller, bytes, tasks)
    return { shares, dropped, add, room }
  }

  it('of tasks and of bytes are full at their bound, of one caller as of all', () => {
    const few = make({ maxTasksPerCaller: 2, maxTasks: 3 })
    few.add('a1', 1)
    assert.equal(few.room('a', 1), 'yes')
    few.add('a2', 1)
    assert.equal(few.room('a', 1), 'caller')
    assert.equal(few.room('a', 1, 0), 'yes', 'more of a task that is there')
    assert.equal(few.room('b', 1), 'yes')
    few.add('b1', 1)
    assert.equal(few.room('b', 1), 'all')
    assert.equal(few.room('c', 1), 'all')
    const small = make({ maxCallerBytes: 100, maxBytes: 150 })
    small.add('a1', 60)
    assert.equal(small.room('a', 40), 'yes')
    assert.equal(small.room('a', 41), 'caller')
    small.add('b1', 50)
    assert.equal(small.room('c', 40), 'yes')
    assert.equal(small.room('c', 41), 'all')
    assert.equal(small.room('a', 41), 'caller', 'its own bound is told first')
  })

  it('of a caller that nobody knows are its bounds, whole', () => {
    assert.equal(make({ maxTasksPerCaller: 0 }).room('a', 0), 'caller')
    assert.equal(make({ maxTasksPerCaller: 1 }).room('a', 0), 'yes')
    assert.equal(make({ maxCallerBytes: 10 }).room('a', 11), 'caller')
    assert.equal(make({ maxCallerBytes: 10 }).room('a', 10), 'yes')
    assert.equal(make({ maxBytes: 10 }).room('a', 10), 'yes')
    assert.equal(make({ maxBytes: 10 }).room('a', 11), 'all')
  })

  it('grow and are given back with what is dropped, to the byte', () => {
    const { shares, dropped, add, room } = make({ maxCallerBytes: 100 })
    const entry = add('a1', 10)
    shares.grow(entry, 50)
    assert.equal(entry.bytes, 60)
    assert.equal(room('a', 41, 0), 'caller')
    entry.record = { ...entry.record, endedMs: 5 }
    shares.end(entry)
    assert.equal(room('a', 41, 0), 'yes')
    assert.deepEqual(dropped, ['a1'])
    add('a2', 100)
    assert.equal(room('a', 1, 0), 'caller')
  })

  for (const [bound, limits] of Object.entries({
    'its own tasks': { maxTasksPerCaller: 3 },
    'all tasks': { maxTasks: 4 },
    'its own bytes': { maxCallerBytes: 39 },
    'all bytes': { maxBytes: 49 },
  }))
    it(`make room where ${bound} are full: by one task, and no more than that`, () => {
      const { dropped, add, room } = make(limits)
      add('b1', 10, 1)
      for (const name of ['a1', 'a2', 'a3']) add(name, 10, 1)
      assert.equal(room('a', 10), 'yes')
      assert.deepEqual(dropped, ['a1'])
    })

  it('make no room where there is some, to the task and to the byte', () => {
    const { dropped, add, room } = make({
      maxTasksPerCaller: 2,
      maxTasks: 2,
      maxCallerBytes: 20,
      maxBytes: 20,
    })
    add('a1', 10, 1)
    assert.equal(room('a', 10), 'yes')
    assert.deepEqual(dropped, [])
  })

  it('drop what was read to its end first, then what ended first, and never what is read or runs', () => {
    const { shares, dropped, add, room } = make({ maxTasksPerCaller: 5 })
    add('a1', 10, 1)
    add('a2', 10, 1)
    const read = add('a3', 10, 1)
    const reading = add('a4', 10, 1)
    add('a5', 10)
    shares.hold(read)(true)
    const release = shares.hold(reading)
    for (let i = 0; i < 3; i += 1) {
      assert.equal(room('a', 1), 'yes')
      add(`a${6 + i}`, 10)
    }
    assert.deepEqual(dropped, ['a3', 'a1', 'a2'])
    assert.equal(room('a', 1), 'caller')
    release(false)
    release(false)
    assert.equal(room('a', 1), 'yes')
    assert.deepEqual(dropped.slice(3), ['a4'])
  })

  it('of bytes that are read, and of a task that runs while it is held, count as taken', () => {
    const { shares, add, room } = make({ maxCallerBytes: 20 })
    const runs = add('a1', 10)
    shares.hold(runs)(false)
    assert.equal(room('a', 11), 'caller', 'it runs')
    const ended = add('a2', 10, 1)
    const two = [shares.hold(ended), shares.hold(ended)]
    assert.equal(room('a', 1), 'caller')
    two[0]?.(true)
    assert.equal(room('a', 1), 'caller', 'one reads it still')
    two[1]?.(false)
    assert.equal(room('a', 1), 'yes')
    assert.equal(room('a', 11), 'caller')
  })

  it('hold tasks by their keys, those without one by none', () => {
    const { shares, add } = make()
    const keyed = add('a1', 1, 5, 'key')
    add('a2', 1, 5)
    assert.equal(shares.findByKey('a', 'key'), keyed)
    assert.equal(shares.findByKey('b', 'key'), undefined)
    assert.deepEqual(
      [...shares.newestFirst('a')].map(({ record }) => record.id),
      ['2', '1'],
    )
    assert.deepEqual([...shares.newestFirst('b')], [])
    shares.dropEndedBefore(5)
    assert.equal(shares.findByKey('a', 'key'), undefined)
    assert.deepEqual([...shares.newestFirst('a')], [])
  })

  it('forget what has ended by its time, the time itself with it, but not what is read', () => {
    const { shares, dropped, add } = make()
    add('a1', 1, 10)
    const reading = add('b1', 1, 11)
    add('a2', 1, 11)
    add('a3', 1, 12)
    add('a4', 1)
    const release = shares.hold(reading)
    shares.dropEndedBefore(9)
    assert.deepEqual(dropped, [])
    shares.dropEndedBefore(11)
    assert.deepEqual(dropped.splice(0), ['a1', 'a2'])
    release(false)
    shares.dropEndedBefore(11)
    assert.deepEqual(dropped.splice(0), ['b1'])
    shares.dropEndedBefore(11)
    assert.deepEqual(dropped, [], 'each once')
  })

  it('are empty once they were cleared', () => {
    const { shares, dropped, add, room } = make({ maxTasks: 1, maxBytes: 10 })
    const before = add('a1', 10, 1)
    shares.clear()
    assert.equal(shares.find('a', '1'), undefined)
    shares.dropEndedBefore(10)
    assert.deepEqual(dropped, [])
    assert.equal(room('b', 10), 'yes')
    // of a store that was opened anew nothing changes by what was held before
    shares.grow(before, 5)
    shares.hold(before)(true)
    assert.equal(room('b', 10), 'yes')
  })
})
