import assert from 'node:assert/strict'
import { createStay } from '../../../mesh-gateway/src/delegation/permits.ts'

describe('what a call occupies', () => {
  it('is given back once, when the call ends', () => {
    const stay = createStay()
    const left: number[] = []
    stay.hold(() => void left.push(1))
    stay.hold(() => void left.push(2))
    assert.deepEqual(left.splice(0), [])
    stay.end()
    stay.end()
    assert.deepEqual(left, [1, 2])
  })

  it('is given back at once where it was granted only after the end', () => {
    const stay = createStay()
    stay.end()
    let left = 0
    const leave = () => {
      left += 1
    }
    assert.throws(() => stay.hold(leave), { code: 'MESH_CALL_CANCELED' })
    assert.equal(left, 1)
    stay.end()
    assert.equal(left, 1)
  })

  it('tells what waits that the call has gone, before and after', () => {
    const stay = createStay()
    const gone = stay.gone()
    assert.equal(gone.aborted, false)
    assert.equal(stay.gone(), gone)
    stay.end()
    assert.equal(gone.aborted, true)
    const late = createStay()
    late.end()
    assert.equal(late.gone().aborted, true)
  })
})
