import assert from 'node:assert/strict'
import { checkTraceparent, spanOf } from '../../../agent-sdk/src/wire/trace.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const PARENT = `00-${TRACE}-00f067aa0ba902b7-01`

describe('the trace of a call', () => {
  it('goes on with a new span, or begins where none can be read', () => {
    const span = spanOf(PARENT)
    assert.match(span, new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`))
    assert.notEqual(span, PARENT)
    for (const none of [null, undefined, 'nonsense', ''])
      assert.match(spanOf(none), /^00-(?!4bf9)[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/)
    assert.notEqual(spanOf(null), spanOf(null))
  })

  it('is checked where an author names it', () => {
    assert.equal(checkTraceparent(undefined), null)
    assert.equal(checkTraceparent(PARENT), PARENT)
    for (const wrong of ['', 'nonsense', `${PARENT}x`, PARENT.replace(TRACE, '0'.repeat(32))])
      assert.throws(() => checkTraceparent(wrong), TypeError, wrong)
    for (const wrong of [5, null, [PARENT], { toString: () => PARENT }])
      assert.throws(() => Reflect.apply(checkTraceparent, undefined, [wrong]), TypeError)
  })
})
