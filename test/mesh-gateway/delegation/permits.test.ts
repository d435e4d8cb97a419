import assert from 'node:assert/strict'
import { createPermits } from '../../../mesh-gateway/src/delegation/permits.ts'

describe('what a call occupies', () => {
  it('is given back once, when the call ends', () => {
    const permits = createPermits()
    const left: number[] = []
    permits.hold(() => void left.push(1))
    permits.hold(() => void left.push(2))
    assert.deepEqual(left.splice(0), [])
    permits.end()
    permits.end()
    assert.deepEqual(left, [1, 2])
  })

  it('is given back at once where it was granted only after the end', () => {
    const permits = createPermits()
    permits.end()
    let left = 0
    const leave = () => {
      left += 1
    }
    assert.throws(() => permits.hold(leave), { code: 'MESH_CALL_CANCELED' })
    assert.equal(left, 1)
    permits.end()
    assert.equal(left, 1)
  })

  it('tells what waits that the call has gone, before and after', () => {
    const permits = createPermits()
    const gone = permits.gone()
    assert.equal(gone.aborted, false)
    assert.equal(permits.gone(), gone)
    permits.end()
    assert.equal(gone.aborted, true)
    const late = createPermits()
    late.end()
    assert.equal(late.gone().aborted, true)
  })
})
