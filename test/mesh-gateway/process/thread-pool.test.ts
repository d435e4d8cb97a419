import assert from 'node:assert/strict'
import { lookupThreads, widenThreadPool } from '../../../mesh-gateway/src/process/thread-pool.ts'

describe('the threads of the process', () => {
  it('are 16 unless the environment says otherwise', () => {
    const env: NodeJS.ProcessEnv = {}
    widenThreadPool(env)
    assert.equal(env.UV_THREADPOOL_SIZE, '16')
    const told = { UV_THREADPOOL_SIZE: '6' }
    widenThreadPool(told)
    assert.equal(told.UV_THREADPOOL_SIZE, '6')
  })

  it('are never all taken by lookups, but one where there is only one', () => {
    const lookups = (size?: string) =>
      lookupThreads(size === undefined ? {} : { UV_THREADPOOL_SIZE: size })
    assert.equal(lookups(), 3)
    assert.equal(lookups('16'), 12)
    assert.equal(lookups('8'), 4)
    assert.equal(lookups('7'), 6)
    assert.equal(lookups('2'), 1)
    for (const one of ['1', '0', '-3', 'many', '']) assert.equal(lookups(one), 1, one)
    assert.equal(lookups('100000'), 1020)
    assert.equal(lookups('12 of them'), 8)
    assert.equal(lookups('1e3'), 1, 'libuv reads a 1')
  })
})
