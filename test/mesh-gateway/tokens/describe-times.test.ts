import assert from 'node:assert/strict'
import { earlyToken, expiredToken, span } from '../../../mesh-gateway/src/tokens/describe-times.ts'

describe('the times of a token', () => {
  it('are told in seconds while these say something, and in two digits after that', () => {
    const table: [seconds: number, text: string][] = [
      [-5, '0 s'],
      [0.4, '0 s'],
      [119, '119 s'],
      [120, '2 min'],
      [7_199, '120 min'],
      [7_200, '2 h'],
      [86_400, '24 h'],
      [172_800, '2 days'],
    ]
    for (const [seconds, text] of table) assert.equal(span(seconds), text)
  })

  it('say how long ago it expired, and by how much a clock is ahead', () => {
    const now = 1_800_000_000_000
    assert.equal(expiredToken(1_799_999_905, now, null).message, 'the token expired 95 s ago')
    assert.equal(expiredToken(null, now, null).message, 'the token has expired')
    assert.equal(
      earlyToken(1_800_000_095, now, null).message,
      "the token is valid in 95 s only: the clock that it was made by is 95 s ahead of this gateway's",
    )
    assert.equal(earlyToken(null, now, null).message, 'the token is not valid yet')
  })
})
