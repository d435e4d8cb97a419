import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  formatGrpcTimeout,
  parseGrpcTimeout,
} from '../../../../mesh-gateway/src/delegation/carry/grpc-timeout.ts'

describe('grpc-timeout', () => {
  it('reads every unit', () => {
    const cases: [string, number][] = [
      ['1H', 3_600_000],
      ['2M', 120_000],
      ['3S', 3_000],
      ['4m', 4],
      ['5u', 0.005],
      ['6n', 0.000_006],
      ['0m', 0],
    ]
    for (const [text, ms] of cases) assert.equal(parseGrpcTimeout(text), ms)
  })

  it('caps what no timer can hold instead of letting it overflow', () => {
    assert.equal(parseGrpcTimeout('99999999H'), 2_147_483_000)
    assert.equal(parseGrpcTimeout('597H'), 2_147_483_000)
  })

  it('refuses what the specification does not write', () => {
    for (const text of [
      '',
      'm',
      '1',
      '-1m',
      '1.5S',
      '123456789m',
      '1h',
      ' 1m',
      '1m ',
      '0x1m',
      '1e3m',
    ])
      assert.equal(parseGrpcTimeout(text), null, text)
  })

  it('hands on a deadline that is never zero, never longer, and never more than eight digits', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.001, max: 2_147_483_000, noNaN: true }), (ms) => {
        const text = formatGrpcTimeout(ms)
        const back = parseGrpcTimeout(text)
        assert.match(text, /^[1-9]\d{0,7}[umS]$/)
        assert.ok(back !== null && back <= Math.max(ms, 0.001) * (1 + 1e-12))
        assert.ok(back >= ms - Math.max(1, ms / 1000) * 1000 && back > 0)
      }),
    )
  })
})
