import assert from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createLimits } from '../../../mesh-gateway/src/limits/create-limits.ts'

describe('limits', () => {
  it('grant a burst, then one per interval, and say how long to wait', () => {
    let now = 0
    const limits = createLimits(() => now)
    for (let i = 0; i < 5; i += 1) assert.equal(limits.take('a', 60, 5), null)
    assert.equal(limits.take('a', 60, 5), 1_000)
    now = 999
    assert.equal(limits.take('a', 60, 5), 1)
    now = 1_000
    assert.equal(limits.take('a', 60, 5), null)
    assert.equal(limits.take('a', 60, 5), 1_000)
  })

  it('keep keys apart', () => {
    const limits = createLimits(() => 0)
    assert.equal(limits.take('a', 1, 1), null)
    assert.notEqual(limits.take('a', 1, 1), null)
    assert.equal(limits.take('b', 1, 1), null)
  })

  it('grant nothing at a rate of zero', () => {
    assert.notEqual(createLimits(() => 0).take('a', 0, 10), null)
  })

  it('follow a changed rate without forgetting what is used', () => {
    let now = 0
    const limits = createLimits(() => now)
    for (let i = 0; i < 10; i += 1) limits.take('a', 60, 10)
    now = 1_000
    assert.equal(limits.take('a', 6, 1), null)
    assert.equal(limits.take('a', 6, 1), 10_000)
  })

  it('count who is inside, and a second leaving counts nothing', () => {
    const limits = createLimits()
    const first = limits.enter('a', 2)
    assert.ok(first)
    assert.ok(limits.enter('a', 2))
    assert.equal(limits.enter('a', 2), null)
    first()
    first()
    assert.ok(limits.enter('a', 2))
    assert.equal(limits.enter('a', 2), null)
  })

  it('fill a bucket at the rate and to the burst that it was last asked for', () => {
    let now = 0
    const limits = createLimits(() => now)
    for (let i = 0; i < 10; i += 1) limits.take('a', 60, 10)
    assert.equal(limits.take('a', 6, 20), 10_000)
    // the first three seconds count at the new rate
    now = 3_000
    assert.equal(limits.take('a', 60, 20), 700)
    now = 100_000
    for (let i = 0; i < 20; i += 1) assert.equal(limits.take('a', 60, 20), null)
    assert.equal(limits.take('a', 60, 20), 1_000)
  })

  it('forget of ten thousand keys those alone whose bucket is full, and those alone that nobody is inside of', () => {
    let now = 0
    const limits = createLimits(() => now)
    const [used, full] = ['used up', 'nearly full']
    for (let i = 0; i < 3; i += 1) limits.take(used, 1, 3)
    const leaves = [limits.enter('inside', 1), limits.enter('left', 1)]
    leaves[1]?.()
    now = 9_999
    limits.take(full, 6_000, 1)
    for (let round = 0; round < 2; round += 1) {
      now = 10_000
      for (let i = 0; i < 25_000; i += 1) {
        limits.take(`key ${round} ${i}`, 6_000, 1)
        limits.enter(`key ${round} ${i}`, 1)?.()
        // what is asked for all the time is never full
        if (i % 1_000 === 0) limits.take('busy', 1e-9, 30)
      }
      assert.notEqual(limits.take(used, 1, 3), null)
      assert.notEqual(limits.take(full, 6_000, 1), null)
      assert.equal(limits.enter('inside', 1), null)
    }
    for (let i = 0; i < 30; i += 1) limits.take('busy', 1e-9, 30)
    assert.notEqual(limits.take('busy', 1e-9, 30), null)
    assert.ok(limits.enter('left', 1))
    leaves[0]?.()
    assert.ok(limits.enter('inside', 1))
  })

  it('forget nothing that is not full by the rate and the burst that it was last asked for', () => {
    let now = 0
    const limits = createLimits(() => now)
    limits.take('grown', 60, 1)
    limits.take('slowed', 60_000, 1)
    now = 1_000
    limits.take('grown', 60, 10)
    limits.take('slowed', 1, 1)
    now = 3_000
    for (let i = 0; i < 10_001; i += 1) limits.take(`key ${i}`, 6_000, 1)
    for (let i = 0; i < 2; i += 1) assert.equal(limits.take('grown', 60, 10), null)
    assert.equal(limits.take('grown', 60, 10), 1_000)
    assert.notEqual(limits.take('slowed', 1, 1), null)
  })

  it('go by the clock of the process where none is given', () => {
    const limits = createLimits()
    assert.equal(limits.take('a', 60, 1), null)
    const waitMs = limits.take('a', 60, 1)
    assert.ok(waitMs !== null && waitMs > 0 && waitMs <= 1_000, `${waitMs}`)
  })

  it('do not remember keys for ever', () => {
    setFlagsFromString('--expose-gc')
    const collectGarbage: () => void = runInNewContext('gc')
    let now = 0
    const limits = createLimits(() => now)
    collectGarbage()
    const before = process.memoryUsage().heapUsed
    for (let i = 0; i < 300_000; i += 1) {
      now += 10
      limits.take(`key-${i}`, 6_000, 1)
      if (i < 100_000) limits.enter(`key-${i}`, 1)?.()
    }
    collectGarbage()
    const grown = process.memoryUsage().heapUsed - before
    assert.ok(grown < 5_000_000, `${grown} bytes`)
    assert.equal(limits.take('key-0', 6_000, 1), null)
  })
})
