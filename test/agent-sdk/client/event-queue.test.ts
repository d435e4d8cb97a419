/** The queue between a stream and its reader: bounded by number and by bytes, whatever the events are. */
import assert from 'node:assert/strict'
import { createEventQueue } from '../../../agent-sdk/src/client/event-queue.ts'
import type { EventBody, TaskEvent } from '../../../agent-sdk/src/model/task-event.ts'

const event = (seq: number, body: EventBody = { kind: 'usage', amounts: {} }): TaskEvent => ({
  ...{ id: 'x', seq, time: new Date(0) },
  ...body,
})
const message = (text: string): EventBody => ({ kind: 'message', text })
const artifact = (bytes: number): EventBody => ({
  ...{ kind: 'artifact', name: 'f', mediaType: '', index: 0, data: new Uint8Array(bytes) },
  ...{ last: false, sha256: null },
})
const over = async (promise: Promise<unknown> | undefined) => {
  let done = promise === undefined
  void promise?.then(() => {
    done = true
  })
  await new Promise(setImmediate)
  return done
}

describe('the queue of events', () => {
  const full = 256
  const filled = (mayWait = true) => {
    const queue = createEventQueue(() => mayWait)
    for (let seq = 1; seq < full; seq += 1) assert.equal(queue.push(event(seq)), undefined)
    return queue
  }

  it('gives events in order, then the end, again and again', async () => {
    const queue = createEventQueue(() => true)
    queue.push(event(1))
    queue.push(event(2))
    queue.finish(null)
    const got = [await queue.take(), await queue.take()]
    assert.deepEqual(
      got.map((one) => (typeof one === 'string' ? one : one.seq)),
      [1, 2],
    )
    assert.equal(await queue.take(), 'end')
    assert.equal(await queue.take(), 'end')
  })

  it('wakes a reader that waits: for an event, for the end, for an error, for being given up', async () => {
    const wake = async (act: (queue: ReturnType<typeof createEventQueue>) => void) => {
      const queue = createEventQueue(() => true)
      const taken = queue.take()
      await new Promise(setImmediate)
      act(queue)
      return await taken.catch((error: unknown) => error)
    }
    assert.deepEqual(await wake((queue) => queue.push(event(7))), event(7))
    assert.equal(await wake((queue) => queue.finish(null)), 'end')
    const error = new Error('lost')
    assert.equal(await wake((queue) => queue.finish(error)), error)
    assert.equal(await wake((queue) => queue.giveUp()), 'gone')
  })

  it('an error comes after the events before it', async () => {
    const queue = createEventQueue(() => true)
    queue.push(event(1))
    queue.finish(new Error('lost'))
    assert.deepEqual(await queue.take(), event(1))
    await assert.rejects(queue.take(), /lost/)
  })

  it('holds 256 events: then the stream waits until the reader has taken more than half of them', async () => {
    const queue = filled()
    assert.equal(queue.isFull(), false)
    const room = queue.push(event(full))
    assert.equal(queue.isFull(), true)
    for (let left = full - 1; left >= full / 2; left -= 1) await queue.take()
    assert.equal(await over(room), false)
    await queue.take()
    assert.equal(await over(room), true)
    assert.equal(queue.isFull(), false)
  })

  const MIB = 1024 * 1024
  for (const [title, body, smaller] of [
    ['an artifact counts its bytes', artifact(MIB - 256), artifact(MIB - 257)],
    [
      'a text counts two bytes for each character',
      message('x'.repeat((MIB - 256) / 2)),
      message('x'.repeat((MIB - 256) / 2 - 1)),
    ],
  ] as const)
    it(`holds 1 MiB: ${title}, and 256 for what surrounds it`, async () => {
      const queue = createEventQueue(() => true)
      assert.equal(queue.push(event(1, smaller)), undefined)
      assert.equal(queue.isFull(), false)
      await queue.take()
      const room = queue.push(event(2, body))
      assert.equal(queue.isFull(), true)
      assert.equal(await over(room), false)
      await queue.take()
      assert.equal(queue.isFull(), false)
      assert.equal(await over(room), true)
      assert.equal(queue.push(event(3)), undefined, 'what was taken counts no more')
    })

  it('a stream that waits for bytes is not let on while more than they may be are held', async () => {
    const queue = createEventQueue(() => true)
    queue.push(event(1))
    const room = queue.push(event(2, artifact(MIB - 256)))
    await queue.take()
    assert.equal(await over(room), false)
    await queue.take()
    assert.equal(await over(room), true)
  })

  it('where the stream may not wait, a full queue is given up, and its events are dropped', async () => {
    const queue = filled(false)
    assert.equal(queue.push(event(full)), undefined)
    assert.equal(queue.isFull(), false)
    assert.equal(await queue.take(), 'gone')
    assert.equal(queue.push(event(full + 1)), undefined)
    assert.equal(await queue.take(), 'gone')
  })

  it('giving up and finishing let a stream go on that waits', async () => {
    for (const act of ['giveUp', 'finish'] as const) {
      const queue = filled()
      const room = queue.push(event(full))
      assert.equal(await over(room), false)
      if (act === 'giveUp') queue.giveUp()
      else queue.finish(null)
      assert.equal(await over(room), true, act)
    }
  })

  it('one that was given up takes any number of bytes and is never full', () => {
    const queue = createEventQueue(() => true)
    const large = event(1, artifact(MIB))
    queue.push(large)
    queue.giveUp()
    assert.equal(queue.isFull(), false)
    for (let seq = 1; seq <= 2 * full; seq += 1) assert.equal(queue.push(large), undefined)
    assert.equal(queue.isFull(), false)
  })
})
