/** A request that is sent again elsewhere, because its first peer did not process it. */
import assert from 'node:assert/strict'
import type { ClientHttp2Stream, ServerHttp2Stream } from 'node:http2'
import { PassThrough } from 'node:stream'
import { forward } from '../../../../mesh-gateway/src/delegation/carry/forward.ts'
import type { UpstreamSession } from '../../../../mesh-gateway/src/delegation/upstream/session.ts'

const turn = () => new Promise(setImmediate)

describe('a request that is sent again elsewhere', () => {
  const start = () => {
    const down = new PassThrough({ autoDestroy: false })
    const streams = [1, 2].map(() => new PassThrough({ autoDestroy: false }))
    const [first = down, second = down] = streams
    const got: Buffer[] = []
    second.on('data', (chunk: Buffer) => got.push(chunk))
    const session = { unprocessed: () => true, release() {}, gone: false }
    const outcomes: unknown[] = []
    forward({
      down: down as unknown as ServerHttp2Stream,
      session: session as unknown as UpstreamSession,
      open: () => (streams.shift() ?? assert.fail()) as unknown as ClientHttp2Stream,
      elsewhere: async () => {
        await turn()
        return session as unknown as UpstreamSession
      },
      requestId: 'r',
      rootId: () => null,
      onHead: () => null,
      meter: { bytes: 0 },
      backlog: { stalled: () => () => {}, sweep() {} },
      onEnd: (outcome) => outcomes.push(outcome),
    })
    return { down, first, second, got: () => Buffer.concat(got), outcomes }
  }

  it('is whole, with the data that had been read when the first peer refused it', async () => {
    const { down, first, second, got, outcomes } = start()
    const [one, two] = [Buffer.alloc(10_000, 'a'), Buffer.alloc(10_000, 'b')]
    down.emit('data', one)
    await turn()
    // read in the turn in which the refusal comes, and still to be written
    down.emit('data', two)
    first.emit('close')
    await turn()
    await turn()
    assert.equal(second.writableEnded, false)
    down.emit('end')
    await turn()
    assert.equal(second.writableEnded, true)
    assert.deepEqual(outcomes, [])
    assert.ok(got().equals(Buffer.concat([one, two])), `${got().length} bytes were sent again`)
  })

  it('ends again when it had ended', async () => {
    const { down, first, second, got } = start()
    down.emit('data', Buffer.from('all of it'))
    down.emit('end')
    await turn()
    first.emit('close')
    await turn()
    await turn()
    assert.equal(String(got()), 'all of it')
    assert.equal(second.writableEnded, true)
  })

  it('is not sent again once more of it has gone than is kept', async () => {
    for (const [bytes, again] of [
      [16_384, true],
      [16_385, false],
    ] as const) {
      const { down, first, got, outcomes } = start()
      // what is left of the answer has no part here
      Object.assign(down, { respond() {}, state: { localClose: 1 }, close() {} })
      Object.assign(first, { close() {} })
      down.emit('data', Buffer.alloc(bytes))
      await turn()
      first.emit('close')
      for (let turns = 0; turns < 3; turns += 1) await turn()
      assert.equal(got().length, again ? bytes : 0)
      assert.equal(outcomes.length, again ? 0 : 1)
    }
  })
})
