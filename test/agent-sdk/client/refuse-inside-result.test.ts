import assert from 'node:assert/strict'
import { refuseInsideResult } from '../../../agent-sdk/src/client/refuse-inside-result.ts'
import type { IncomingBody, IncomingEvent } from '../../../agent-sdk/src/wire/event-codec.ts'

const event = (seq: number, body: IncomingBody): IncomingEvent => ({
  ...{ id: 'x', seq, time: new Date(0) },
  body,
})
const message: IncomingBody = { kind: 'message', text: 'm' }
const piece = (more: boolean): IncomingBody => ({
  kind: 'result',
  piece: { output: [], more, continues: false },
})

async function* from(events: readonly IncomingEvent[]) {
  yield* events
}

describe('a cursor inside a result', () => {
  /** @param first seq of the first event that comes */
  const run = async (bodies: readonly IncomingBody[], first: number, before: IncomingBody) => {
    let looked = 0
    const seen: number[] = []
    const events = refuseInsideResult(
      from(bodies.map((body, index) => event(first + index, body))),
      () => {
        looked += 1
        return from([event(first - 1, before), event(first, piece(true))])
      },
    )
    try {
      for await (const { seq } of events) seen.push(seq)
    } catch (error) {
      return { looked, seen, error }
    }
    return { looked, seen, error: null }
  }

  it('is refused before anything is shown', async () => {
    const { seen, error } = await run([piece(true), piece(false)], 3, piece(true))
    assert.ok(error instanceof Error && 'code' in error)
    assert.equal(error.code, 'MESH_TASK_CURSOR_INVALID')
    assert.deepEqual(seen, [])
  })

  it('is told from one before a result by the event before it', async () => {
    const before = await run([piece(true), piece(false)], 3, message)
    assert.deepEqual(before, { looked: 1, seen: [3, 4], error: null })
    const after = await run([piece(false)], 3, piece(false))
    assert.deepEqual(after, { looked: 1, seen: [3], error: null })
  })

  it('is looked for once, and only where the first event is of a result that something stands before', async () => {
    assert.equal((await run([message, piece(true), piece(false)], 3, piece(true))).looked, 0)
    assert.equal((await run([piece(true), piece(false)], 1, piece(true))).looked, 0)
    const second = await run([piece(false)], 2, piece(true))
    assert.equal(second.looked, 1)
    assert.notEqual(second.error, null)
  })

  it('is none where nothing stands before it any more', async () => {
    const events = refuseInsideResult(from([event(3, piece(false))]), () => from([]))
    assert.equal((await events.next()).value?.seq, 3)
  })
})
