import assert from 'node:assert/strict'
import { beyond, inRounds, without } from '../../bench/suites/suite.ts'

describe('figures of a suite', () => {
  it('are taken in turns, every other round backwards, and kept round by round', async () => {
    const order: string[] = []
    const figures = await inRounds(3, ['a', 'b'], async (name) => order.push(name))
    assert.deepEqual(order, ['a', 'b', 'b', 'a', 'a', 'b'])
    assert.deepEqual(figures, { a: [1, 4, 5], b: [2, 3, 6] })
  })

  it('beyond those of another are differences within each round', () => {
    const figures = { ours: [10, 30], theirs: [5, 5], direct: [1, 7] }
    assert.deepEqual(beyond(figures, 'direct'), { ours: [9, 23], theirs: [4, -2] })
    assert.deepEqual(beyond({ ours: [1], direct: [] }, 'direct'), { ours: [Number.NaN] })
  })

  it('can leave one out', () => {
    assert.deepEqual(without({ a: [1], b: [2] }, 'b'), { a: [1] })
  })
})
