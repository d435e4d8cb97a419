import assert from 'node:assert/strict'
import { createDials } from '../../../../mesh-gateway/src/delegation/upstream/dials.ts'

describe('the connections that a tenant waits for', () => {
  it('are so many at most, and free again when they stand or fail', async () => {
    const dials = createDials(2)
    const slow = Promise.withResolvers<void>()
    const failing = Promise.withResolvers<void>()
    const first = dials.run(() => slow.promise)
    const second = dials.run(() => failing.promise)
    const never = () => assert.fail('nothing is dialled')
    await assert.rejects(dials.run(never), { code: 'MESH_LIMIT_CONCURRENCY' })
    slow.resolve()
    failing.reject(new Error('refused'))
    await first
    await assert.rejects(second, /refused/)
    await Promise.all([dials.run(async () => {}), dials.run(async () => {})])
  })
})
