import assert from 'node:assert/strict'
import { earlyToken, expiredToken } from '../../../mesh-gateway/src/tokens/describe-times.ts'

describe('the times of a token', () => {
  it('are told in whole seconds, and never the wrong way round', () => {
    const at = (seconds: number) => expiredToken(0, seconds * 1000, null).message
    assert.equal(at(-5), 'the token expired 0 seconds ago')
    assert.equal(at(119.6), 'the token expired 2 minutes ago')
  })

  it('say how long ago it expired, and by how much a clock is ahead', () => {
    const now = 1_800_000_000_000
    assert.equal(expiredToken(1_799_999_905, now, null).message, 'the token expired 95 seconds ago')
    assert.equal(expiredToken(null, now, null).message, 'the token has expired')
    assert.equal(
      earlyToken(1_800_000_095, now, null).message,
      "the token is valid in 95 seconds only: the clock that it was made by is 95 seconds ahead of this gateway's",
    )
    assert.equal(earlyToken(null, now, null).message, 'the token is not valid yet')
  })
})
