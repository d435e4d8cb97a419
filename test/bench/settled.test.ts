import assert from 'node:assert/strict'
import { agree, settled } from '../../bench/measure/settled.ts'

const OPTIONS = { everyMs: 1, samples: 3, within: 0.05, patienceMs: 10_000 }

describe('a figure that settles', () => {
  it('is taken once so many samples in a row agree', async () => {
    const coming = [10, 50, 90, 100, 101, 102, 500]
    assert.equal(await settled(() => coming.shift() ?? Number.NaN, OPTIONS), 101)
    assert.deepEqual(coming, [500])
  })

  it('is taken as it is when it never comes to rest', async () => {
    let turn = 0
    const value = await settled(() => ++turn * 10, { ...OPTIONS, patienceMs: 30 })
    assert.ok(value >= 10 && turn < 100, `${value} after ${turn} samples`)
  })

  it('agrees with another within a part of the larger one', () => {
    assert.ok(agree([100, 96], 0.05))
    assert.ok(!agree([100, 94], 0.05))
  })
})
