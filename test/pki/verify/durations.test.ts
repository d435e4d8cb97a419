/** The bounds between units of time, and of names that are shown. */
import assert from 'node:assert/strict'
import { formatDate, formatDuration, formatName } from '../../../pki/src/verify/words.ts'

describe('words for people', () => {
  it('change units where one is full', () => {
    for (const [ms, text] of [
      [0, '0 s'],
      [1_000, '1 s'],
      [59_999, '59 s'],
      [60_000, '1 min 0 s'],
      [3_599_999, '59 min 59 s'],
      [3_600_000, '1 h 0 min'],
      [86_399_999, '23 h 59 min'],
      [86_400_000, '1 day 0 h'],
      [172_799_999, '1 day 23 h'],
      [172_800_000, '2 days 0 h'],
    ] as const)
      assert.equal(formatDuration(ms), text)
    assert.equal(formatDate(new Date(1_999)), '1970-01-01T00:00:01Z')
  })

  it('show 300 characters of a name, those that a terminal prints', () => {
    assert.equal(formatName('x'.repeat(300)), 'x'.repeat(300))
    assert.equal(formatName('x'.repeat(301)), `${'x'.repeat(300)}...`)
    assert.equal(formatName(' ~'), ' ~')
    assert.equal(formatName('\x1f\x7f'), '??')
    assert.equal(formatName(undefined), '(no name)')
  })
})
