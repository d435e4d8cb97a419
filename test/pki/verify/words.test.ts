import assert from 'node:assert/strict'
import { formatDate, formatDuration, formatName } from '../../../pki/src/verify/words.ts'

describe('words', () => {
  it('put nothing into a terminal that could move its cursor or start a new line', () => {
    assert.equal(formatName('O=a\nCN=b'), 'O=a, CN=b')
    assert.equal(formatName('a\u001b[2J\r\u009b1m\0é'), 'a?[2J??1m??')
    assert.ok(formatName('x'.repeat(1e6)).length < 400)
    assert.equal(formatName(''), '(no name)')
  })

  it('tell durations in the two largest units', () => {
    const minute = 60_000
    assert.equal(formatDuration(999), '0 s')
    assert.equal(formatDuration(61_000), '1 min 1 s')
    assert.equal(formatDuration(23 * 60 * minute + 59 * minute), '23 h 59 min')
    assert.equal(formatDuration(25 * 60 * minute), '1 day 1 h')
    assert.equal(formatDuration(365 * 24 * 60 * minute), '365 days 0 h')
  })

  it('tell times to the second, in UTC', () => {
    assert.equal(formatDate(new Date(0)), '1970-01-01T00:00:00Z')
  })
})
