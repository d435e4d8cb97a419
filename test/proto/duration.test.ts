import assert from 'node:assert/strict'
import { parseDuration, parseFlagDuration } from '@clawmesh/proto'

describe('a span of time', () => {
  it('has a unit, or is milliseconds', () => {
    assert.deepEqual(
      ['15m', '30s', '500ms', '24h', '7d', '0', '1500'].map(parseDuration),
      [900_000, 30_000, 500, 86_400_000, 604_800_000, 0, 1500],
    )
    for (const text of ['', 'm', '-1s', '1.5h', '1 m', '15M', '1e3', '9999999999999'])
      assert.equal(parseDuration(text), null, text)
  })

  it('has a unit at a flag, and is a number that stays exact', () => {
    assert.deepEqual(['15m', '0s', '1ms'].map(parseFlagDuration), [900_000, 0, 1])
    for (const text of ['', '0', '1500', 'soon', '999999999999d'])
      assert.equal(parseFlagDuration(text), null, text)
  })
})
