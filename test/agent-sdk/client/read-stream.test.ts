/** One stream of a task: its silence, its end, and the reader that leaves it. */
import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { Readable } from 'node:stream'
import { mock } from 'node:test'
import { MeshError } from '@clawmesh/proto'
import type { ClientReadableStream } from '@grpc/grpc-js'
import { endsTask, readStream } from '../../../agent-sdk/src/client/read-stream.ts'
import { encodeEvent, type OutgoingBody } from '../../../agent-sdk/src/wire/event-codec.ts'
import { messages, type WireEvent } from '../../../agent-sdk/src/wire/messages.ts'

const FAILED: OutgoingBody = {
  kind: 'failed',
  state: 'failed',
  code: 'X',
  message: 'm',
  retryable: false,
}
const result = (more: boolean): OutgoingBody => ({
  kind: 'result',
  piece: { output: [], more, continues: false },
})
const told = (seq: number, body: OutgoingBody = { kind: 'message', text: `${seq}` }) =>
  messages.event.deserialize(encodeEvent({ id: 'mine', seq, time: new Date(0) }, body))

const IDLE_MS = 1_000

describe('the events of one stream', () => {
  let cancels: number
  beforeEach(() => {
    cancels = 0
    mock.timers.enable({ apis: ['setTimeout'] })
  })
  afterEach(() => mock.timers.reset())

  /** As grpc-js has it: a cancelled call ends with an error. */
  const open = () => {
    const readable = new Readable({ objectMode: true, read() {} })
    const cancel = () => {
      cancels += 1
      readable.destroy(new Error('1 CANCELLED'))
    }
    const stream: ClientReadableStream<WireEvent> = Object.assign(readable, {
      cancel,
      getPeer: () => 'peer',
      getAuthContext: () => null,
      deserialize: () => assert.fail('is decoded already'),
    })
    const leave = new AbortController()
    const events = readStream(stream, { idleMs: IDLE_MS, signal: leave.signal })
    return { stream, leave, events }
  }
  const settled = async () => {
    for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate)
  }
  /** What a promise has come to, without waiting for it. */
  const watched = (promise: Promise<IteratorResult<unknown, void>>) => {
    const state: { error: unknown; over: boolean; done?: boolean } = { error: null, over: false }
    promise.then(
      ({ done }) => {
        Object.assign(state, { over: true, done })
      },
      (error: unknown) => {
        state.over = true
        state.error = error
      },
    )
    return state
  }

  it('silence for its time ends the stream as lost, not a millisecond sooner', async () => {
    const { events } = open()
    const next = watched(events.next())
    mock.timers.tick(IDLE_MS - 1)
    await settled()
    assert.deepEqual([cancels, next.over], [0, false])
    mock.timers.tick(1)
    await settled()
    assert.ok(cancels > 0)
    assert.ok(next.error instanceof MeshError && next.error.code === 'MESH_PEER_LOST')
  })

  it('each event begins the time of silence anew', async () => {
    const { stream, events } = open()
    for (const seq of [1, 2, 3]) {
      const next = events.next()
      await settled()
      mock.timers.tick(IDLE_MS - 1)
      stream.push(told(seq))
      assert.equal((await next).value?.seq, seq)
    }
    const next = watched(events.next())
    await settled()
    mock.timers.tick(IDLE_MS)
    await settled()
    assert.ok(next.error instanceof MeshError && next.error.code === 'MESH_PEER_LOST')
  })

  it('the clock stands while the reader thinks', async () => {
    const { stream, events } = open()
    stream.push(told(1))
    await events.next()
    mock.timers.tick(10 * IDLE_MS)
    stream.push(told(2))
    assert.equal((await events.next()).value?.seq, 2)
    assert.equal(cancels, 0)
    await events.return()
  })

  it('a reader that leaves early cancels the call, and leaves no clock and no listener behind', async () => {
    const { stream, leave, events } = open()
    stream.push(told(1))
    await events.next()
    await events.return()
    assert.equal(cancels, 1)
    assert.equal(getEventListeners(leave.signal, 'abort').length, 0)
    mock.timers.tick(IDLE_MS)
    assert.equal(cancels, 1)
  })

  it('the signal cancels the call, and its reason is what the reader gets', async () => {
    const { stream, leave, events } = open()
    stream.push(told(1))
    await events.next()
    const next = watched(events.next())
    await settled()
    const reason = new MeshError('MESH_CALL_CANCELED')
    leave.abort(reason)
    await settled()
    assert.equal(next.error, reason)
    assert.ok(cancels > 0)
  })

  it('a signal that aborted before cancels at once', async () => {
    const { leave, events } = open()
    const reason = new MeshError('MESH_CALL_CANCELED')
    leave.abort(reason)
    const next = watched(events.next())
    await settled()
    assert.equal(next.error, reason)
  })

  it('what the stream itself ends with is passed on as it is', async () => {
    const { stream, events } = open()
    const next = watched(events.next())
    await settled()
    const error = new Error('14 UNAVAILABLE')
    stream.destroy(error)
    await settled()
    assert.equal(next.error, error)
    const before = cancels
    mock.timers.tick(IDLE_MS)
    assert.equal(cancels, before, 'no clock is left')
  })

  for (const [title, last] of Object.entries({ failed: FAILED, result: result(false) }))
    it(`after the last event, ${title}, it is read to its status, and nothing cancels it any more`, async () => {
      const { stream, leave, events } = open()
      const sent = [told(1, result(true)), told(2, last), told(3)]
      for (const event of sent) stream.push(event)
      assert.equal((await events.next()).value?.seq, 1)
      assert.equal((await events.next()).value?.seq, 2)
      leave.abort(new Error('the agent is closed'))
      await settled()
      assert.equal(cancels, 0)
      const rest = watched(events.next())
      stream.push(null)
      await settled()
      assert.deepEqual(rest, { error: null, over: true, done: true }, 'the third is not shown')
      stream.emit('status')
      mock.timers.tick(60_000)
      assert.equal(cancels, 0)
    })

  it('a callee that keeps the call open after the last event is cancelled, whatever it sends on, and that is no error', async () => {
    const { stream, events } = open()
    stream.push(told(1, FAILED))
    stream.push(told(2))
    await events.next()
    const rest = watched(events.next())
    await settled()
    mock.timers.tick(499)
    assert.equal(cancels, 0)
    mock.timers.tick(1)
    await settled()
    assert.equal(cancels, 1)
    assert.deepEqual(rest, { error: null, over: true, done: true })
  })

  it('the reader may leave at the last event: the call is read on to its status', async () => {
    const { stream, events } = open()
    stream.push(told(1, FAILED))
    await events.next()
    await events.return()
    await settled()
    assert.equal(cancels, 0)
    assert.equal(stream.readableFlowing, true)
    mock.timers.tick(500)
    assert.equal(cancels, 1, 'no status has come')
  })

  it('a task ends with a failure, or with the last piece of a result', () => {
    const head = { id: 'mine', seq: 1, time: new Date(0) }
    assert.equal(endsTask({ ...head, body: FAILED }), true)
    assert.equal(endsTask({ ...head, body: result(true) }), false)
    assert.equal(endsTask({ ...head, body: result(false) }), true)
    assert.equal(endsTask({ ...head, body: { kind: 'message', text: 'm' } }), false)
  })
})
