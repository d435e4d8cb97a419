import assert from 'node:assert/strict'
import { pairedRatio, quantile, summarize } from '../../bench/measure/statistics.ts'

describe('statistics of the bench', () => {
  it('take medians and quartiles, between neighbours where there is no middle one', () => {
    assert.equal(quantile([3, 1, 2], 0.5), 2)
    assert.equal(quantile([4, 1, 3, 2], 0.5), 2.5)
    assert.deepEqual(summarize([5, 1, 2, 4, 3]), {
      median: 3,
      lower: 2,
      upper: 4,
      iqr: 2,
      count: 5,
    })
  })

  it('say that nothing is not a number', () => {
    assert.ok(Number.isNaN(quantile([], 0.5)))
    assert.ok(Number.isNaN(pairedRatio([], [1]).median))
  })

  it('compare within each round, so that a slow round of both changes nothing', () => {
    assert.equal(pairedRatio([10, 100, 10], [20, 200, 20]).median, 0.5)
  })

  it('leave out rounds in which one of the two has no figure', () => {
    const { median, count } = pairedRatio([1, Number.NaN, 3, 4], [2, 2, 0])
    assert.deepEqual({ median, count }, { median: 0.5, count: 1 })
  })

  it('refuse a quantile outside 0 to 1', () => {
    assert.throws(() => quantile([1], 1.1), TypeError)
    assert.throws(() => quantile([1], Number.NaN), TypeError)
  })
})
