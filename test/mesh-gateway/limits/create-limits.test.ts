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
    }
    collectGarbage()
    const grown = process.memoryUsage().heapUsed - before
    assert.ok(grown < 5_000_000, `${grown} bytes`)
    assert.equal(limits.take('key-0', 6_000, 1), null)
  })
})
