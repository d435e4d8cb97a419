/** How long an address is avoided that did not connect, and who tries it again. */
import assert from 'node:assert/strict'
import { createAddressHealth } from '../../../mesh-gateway/src/net/address-health.ts'

describe('the health of addresses', () => {
  let nowMs = 0
  const open = (options: object = {}) => {
    nowMs = 0
    return createAddressHealth({ ...options, now: () => nowMs })
  }
  const same = (key: string) => key

  it('avoids one for 30 s, twice as long after each failure more, for ten minutes at most, and lets one try it', () => {
    const health = open()
    assert.equal(health.mayTry('a'), true)
    for (const pauseMs of [30_000, 60_000, 120_000, 240_000, 480_000, 600_000, 600_000]) {
      health.bad('a')
      // others that were under way have seen the same failure
      health.bad('a')
      assert.equal(health.mayTry('a'), false)
      nowMs += pauseMs - 1
      assert.equal(health.mayTry('a'), false)
      nowMs += 1
      assert.equal(health.mayTry('a'), true)
      assert.equal(health.mayTry('a'), false, 'one tries it for all')
    }
    nowMs += 999
    assert.equal(health.mayTry('a'), false)
    nowMs += 1
    assert.equal(health.mayTry('a'), true, 'the one that tried has told nothing')
    health.good('a')
    assert.equal(health.size, 0)
    health.bad('a')
    nowMs += 30_000
    assert.equal(health.mayTry('a'), true, 'it has begun anew')
  })

  it('counts a failure that comes when the time is over as one more', () => {
    const health = open({ firstMs: 10, longestMs: 1_000 })
    health.bad('a')
    nowMs = 10
    health.bad('a')
    nowMs = 29
    assert.equal(health.mayTry('a'), false)
    nowMs = 30
    assert.equal(health.mayTry('a'), true)
  })

  it('puts those last that are avoided, and keeps the order of both', () => {
    const health = open()
    const all = ['a', 'b', 'c', 'd']
    assert.equal(health.order(all, same), all)
    for (const key of ['a', 'c']) health.bad(key)
    assert.deepEqual(health.order(all, same), ['b', 'd', 'a', 'c'])
    const others = ['b', 'd']
    assert.equal(health.order(others, same), others)
    assert.deepEqual(health.order(['c', 'a'], same), ['c', 'a'])
    nowMs = 30_000
    // the only one of a name is dialled in any case: it takes nobody's turn to try
    assert.deepEqual(health.order(['a'], same), ['a'])
    assert.deepEqual(health.order(['a', 'b'], same), ['a', 'b'])
    assert.deepEqual(health.order(['a', 'b'], same), ['b', 'a'])
  })

  it('remembers no more than so many, the last that failed, and none but those that are named', () => {
    const health = open({ max: 2, firstMs: 10 })
    health.bad('a')
    health.bad('b')
    nowMs = 10
    health.bad('a')
    health.bad('c')
    assert.equal(health.size, 2)
    assert.deepEqual(
      ['a', 'b', 'c'].map((key) => health.mayTry(key)),
      [false, true, false],
    )
    health.keepOnly(new Set(['c', 'd']))
    assert.equal(health.size, 1)
    assert.equal(health.mayTry('a'), true)
    assert.equal(health.mayTry('c'), false)
    const usual = createAddressHealth()
    for (let key = 0; key < 10_001; key += 1) usual.bad(`${key}`)
    assert.equal(usual.size, 10_000)
    assert.deepEqual([usual.mayTry('0'), usual.mayTry('1')], [true, false])
  })
})
