/** How many messages of callees are handled in one turn of the event loop. */
import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { createMessagePace } from '../../../../mesh-gateway/src/delegation/mcp/message-pace.ts'

function taken(pace: ReturnType<typeof createMessagePace>, bytes: number): number {
  let count = 0
  while (count < 1_000 && pace.take(bytes)) count += 1
  return count
}

describe('the pace of messages', () => {
  it('is 64 in a turn, and as many in the next one', async () => {
    const pace = createMessagePace()
    assert.equal(taken(pace, 0), 64)
    assert.equal(taken(pace, 0), 0)
    await turn()
    assert.equal(taken(pace, 0), 64)
  })

  it('is 64 KiB in a turn, and one message whatever its size', async () => {
    const pace = createMessagePace()
    assert.equal(taken(pace, 16_384), 4)
    await turn()
    assert.equal(taken(pace, 4 * 1024 * 1024), 1)
  })

  it('gives those that wait their turn in their order, and each of them once', async () => {
    const pace = createMessagePace()
    taken(pace, 0)
    const called: number[] = []
    for (const who of [1, 2, 3])
      pace.wait(() => {
        called.push(who)
        assert.equal(taken(pace, 0), who === 1 ? 64 : 0)
      })
    await turn()
    await turn()
    assert.deepEqual(called, [1, 2, 3])
  })
})
