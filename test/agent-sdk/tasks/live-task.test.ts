/** A task that runs: its events, its clocks, and that it ends once. */
import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { MeshError } from '@clawmesh/proto'
import type { Failure } from '../../../agent-sdk/src/model/task-event.ts'
import { encodeEvent, type OutgoingBody } from '../../../agent-sdk/src/wire/event-codec.ts'
import { CALLER, GRACE_MS, START_MS, startOneTask } from './one-task.ts'

const message = (text: string): OutgoingBody => ({ kind: 'message', text })
const FAILURE: Failure = { state: 'failed', code: 'X', message: 'm', retryable: false }
const turn = () => new Promise(setImmediate)

describe('a task that runs', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
  afterEach(() => mock.timers.reset())
  const stateOf = ({ live }: ReturnType<typeof startOneTask>) => {
    const { state, endedMs, failure } = live.record()
    return [state, endedMs, failure?.code]
  }

  it('numbers its events, and keeps with them what they change and when', () => {
    const { live, store, clock } = startOneTask()
    live.emit(message('one'))
    clock.ms += 5
    live.emit(message('two'), { state: 'working' })
    const { lastSeq, state, updatedMs, endedMs } = live.record()
    assert.deepEqual([lastSeq, state, updatedMs, endedMs], [2, 'working', START_MS + 5, null])
    assert.deepEqual(store.get(CALLER, 'one'), live.record())
    assert.equal(live.ended(), false)
    assert.equal(live.interrupted(), false)
  })

  it('an event may take what a caller takes in one message, and not a byte more: then the task has failed', () => {
    const overhead = (text: number) =>
      encodeEvent({ id: 'one', seq: 1, time: new Date(START_MS) }, message('x'.repeat(text)))
        .length - text
    const most = 3.75 * 1024 * 1024
    const room = most - overhead(most)
    const fits = startOneTask()
    fits.live.emit(message('x'.repeat(room)))
    assert.deepEqual(stateOf(fits), ['submitted', null, undefined])
    const larger = startOneTask()
    assert.throws(() => larger.live.emit(message('x'.repeat(room + 1))), {
      code: 'MESH_LIMIT_SIZE',
    })
    assert.deepEqual(stateOf(larger), ['failed', START_MS, 'MESH_LIMIT_SIZE'])
  })

  it('what follows it is told once in a turn, at the end once more, and then never again', async () => {
    const { live } = startOneTask()
    const heard: string[] = []
    live.onChange(() => void heard.push('stays'))
    const stop = live.onChange(() => void heard.push('goes'))
    live.emit(message('one'))
    live.emit(message('two'))
    assert.equal(heard.length, 0, 'later in the turn')
    await turn()
    assert.deepEqual(heard.splice(0), ['stays', 'goes'])
    stop()
    live.emit(message('three'))
    await turn()
    live.complete([])
    await turn()
    assert.deepEqual(heard.splice(0), ['stays', 'stays'])
    const late = startOneTask()
    late.live.onChange(() => void heard.push('late'))
    late.live.interrupt()
    await turn()
    assert.deepEqual(heard, ['late'])
  })

  describe('ends at its deadline', () => {
    it('not before it, with its reason', () => {
      const task = startOneTask({ task: { deadlineMs: START_MS + 100, detached: true } })
      mock.timers.tick(99)
      assert.equal(task.live.ended(), false)
      mock.timers.tick(1)
      assert.deepEqual(stateOf(task), ['expired', START_MS, 'MESH_TASK_EXPIRED'])
      assert.equal(task.live.signal.reason.code, 'MESH_TASK_EXPIRED')
      assert.equal(task.ends.length, 1)
    })

    it('unless it has ended, or was interrupted', () => {
      for (const end of ['complete', 'interrupt'] as const) {
        const task = startOneTask({ task: { deadlineMs: START_MS + 100, detached: true } })
        if (end === 'complete') task.live.complete([])
        else task.live.interrupt()
        const before = task.live.record()
        mock.timers.tick(1_000)
        assert.deepEqual(task.live.record(), before)
        assert.equal(task.ends.length, 1)
      }
    })
  })

  describe('is an orphan', () => {
    it('when nobody has followed it for its grace', () => {
      const task = startOneTask()
      mock.timers.tick(GRACE_MS - 1)
      assert.equal(task.live.ended(), false)
      mock.timers.tick(1)
      assert.deepEqual(stateOf(task), ['orphaned', START_MS, 'MESH_TASK_ORPHANED'])
    })

    it('not while somebody follows it: the last one that goes begins the grace, whole', () => {
      const task = startOneTask()
      mock.timers.tick(GRACE_MS - 1)
      const first = task.live.attach()
      const second = task.live.attach()
      mock.timers.tick(10 * GRACE_MS)
      first()
      first()
      mock.timers.tick(10 * GRACE_MS)
      assert.equal(task.live.ended(), false, 'the second one is there')
      second()
      mock.timers.tick(GRACE_MS - 1)
      assert.equal(task.live.ended(), false)
      mock.timers.tick(1)
      assert.equal(stateOf(task)[0], 'orphaned')
    })

    it('never where it is detached, or has ended', () => {
      const detached = startOneTask({ task: { detached: true } })
      detached.live.attach()()
      const ended = startOneTask()
      const gone = ended.live.attach()
      ended.live.complete([])
      gone()
      const alone = startOneTask()
      alone.live.complete([])
      mock.timers.tick(10 * GRACE_MS)
      assert.equal(detached.live.ended(), false)
      assert.deepEqual(stateOf(ended), ['completed', START_MS, undefined])
      assert.deepEqual(stateOf(alone), ['completed', START_MS, undefined])
    })
  })

  it('ends once: what comes after that changes nothing and tells nothing', () => {
    const task = startOneTask()
    const { live, store } = task
    live.complete([{ kind: 'text', text: 'done' }])
    const before = live.record()
    assert.equal(before.state, 'completed')
    assert.equal(live.signal.reason.code, 'MESH_CALL_CANCELED')
    live.emit(message('late'))
    live.complete([])
    live.fail(FAILURE)
    live.interrupt()
    live.save('{}')
    assert.deepEqual(live.record(), before)
    assert.equal(live.interrupted(), false)
    assert.deepEqual(store.takeLeft(), [])
    assert.equal(task.ends.length, 1)
  })

  it('a result larger than a message is told in pieces, and the last one ends the task', () => {
    const { live, told } = startOneTask()
    live.complete([{ kind: 'text', text: 'x'.repeat(2_500_000) }])
    const pieces = told().map((body) => body.kind === 'result' && body.piece.more)
    assert.deepEqual(pieces, [true, true, false])
    assert.equal(live.record().state, 'completed')
  })

  it('a failure says why, in words of 4,096 characters at most that are whole ones', () => {
    const { live } = startOneTask()
    const long = `${'x'.repeat(4_095)}😀`
    live.fail({ ...FAILURE, state: 'rejected', message: long, hint: long })
    const { state, failure } = live.record()
    const cut = `${'x'.repeat(4_095)}\ufffd`
    assert.equal(state, 'rejected')
    assert.deepEqual(failure, { ...FAILURE, state: 'rejected', message: cut, hint: cut })
    assert.equal(live.signal.reason.code, 'MESH_TASK_CANCELED')
    const plain = startOneTask()
    plain.live.fail(FAILURE)
    assert.deepEqual(plain.live.record().failure, FAILURE)
  })

  it('interrupted, it is let go of without an end, to be run again', () => {
    const task = startOneTask()
    const { live, store } = task
    live.interrupt()
    assert.deepEqual([live.ended(), live.interrupted()], [true, true])
    assert.equal(live.record().endedMs, null)
    assert.equal(live.signal.reason.code, 'MESH_PEER_DRAINING')
    assert.deepEqual(
      store.takeLeft().map(({ record }) => record.id),
      ['one'],
    )
    live.interrupt()
    assert.deepEqual(store.takeLeft(), [])
    assert.equal(task.ends.length, 1)
  })

  it('settled: all that was told is written, after this turn; once it has ended, the reason of the end', async () => {
    let flushed = 0
    const flush = () => {
      flushed += 1
    }
    const { live } = startOneTask({ store: (inner) => ({ ...inner, flush }) })
    const settled = live.settled()
    assert.equal(flushed, 0, 'more may come in this turn')
    await settled
    assert.equal(flushed, 1)
    const ends = live.settled()
    live.fail(FAILURE)
    await assert.rejects(ends, { code: 'MESH_TASK_CANCELED' })
    await assert.rejects(live.settled(), { code: 'MESH_TASK_CANCELED' })
    assert.equal(flushed, 1)
  })

  describe('on a store that takes nothing more', () => {
    const broken = (error: Error) => {
      let fails = false
      const task = startOneTask({
        store: (inner) => ({
          ...inner,
          append(...args) {
            if (fails && args[3].endedMs === undefined) throw error
            return inner.append(...args)
          },
          save(...args) {
            if (fails) throw error
            inner.save(...args)
          },
        }),
      })
      fails = true
      return task
    }

    it('it fails with the code of the store, and the skill learns it', () => {
      const full = new MeshError('MESH_TASK_STORE_FULL')
      for (const act of ['emit', 'save'] as const) {
        const task = broken(full)
        const run = () => (act === 'emit' ? task.live.emit(message('x')) : task.live.save('{}'))
        assert.throws(run, full)
        assert.deepEqual(stateOf(task), ['failed', START_MS, 'MESH_TASK_STORE_FULL'])
        assert.equal(task.live.signal.reason, full)
      }
    })

    it('a fault of our own is no end of the task', () => {
      const fault = new TypeError('a fault')
      const task = broken(fault)
      assert.throws(() => task.live.emit(message('x')), fault)
      assert.deepEqual(stateOf(task), ['submitted', null, undefined])
    })

    it('not even its end, it is interrupted, and a fault of our own is thrown', () => {
      const failing = (error: Error) =>
        startOneTask({
          store: (inner) => ({
            ...inner,
            append() {
              throw error
            },
          }),
        })
      const failed = new MeshError('MESH_TASK_STORE_FAILED')
      const { live } = failing(failed)
      live.complete([])
      assert.deepEqual([live.ended(), live.interrupted()], [true, true])
      assert.equal(live.signal.reason, failed)
      const fault = new TypeError('a fault')
      assert.throws(() => failing(fault).live.complete([]), fault)
    })
  })
})
