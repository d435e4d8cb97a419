import assert from 'node:assert/strict'
import { InvalidArgumentError } from 'commander'
import {
  collectDomains,
  collectIpRanges,
  parseDays,
  parseDomain,
  parseDuration,
} from '../../../pki/src/cli/values.ts'

describe('the value of an option', () => {
  const wrong = (read: (text: string) => unknown, texts: readonly string[]) => {
    for (const text of texts)
      assert.throws(() => read(text), InvalidArgumentError, JSON.stringify(text))
  }

  it('is a duration in one unit', () => {
    for (const [text, ms] of [
      ['1s', 1_000],
      ['90s', 90_000],
      ['30m', 1_800_000],
      ['24h', 86_400_000],
      ['7d', 604_800_000],
      ['999999s', 999_999_000],
    ] as const)
      assert.equal(parseDuration(text), ms)
    wrong(parseDuration, [
      '',
      '5',
      's',
      '0s',
      '-1s',
      '1.5h',
      '999999999999d',
      '5w',
      ' 5s',
      '5s ',
      'x5s',
      '5sx',
      '5S',
    ])
  })

  it('is a number of days, a hundred years at most', () => {
    for (const [text, days] of [
      ['1', 1],
      ['007', 7],
      ['36500', 36_500],
    ] as const)
      assert.equal(parseDays(text), days)
    wrong(parseDays, [
      '',
      '0',
      '36501',
      '99999',
      '100000',
      '000001',
      '-1',
      '1.5',
      '1d',
      ' 1',
      'x1',
      '1x',
    ])
  })

  it('is a domain or a range of addresses, of which several come together', () => {
    assert.equal(parseDomain('mesh.internal'), 'mesh.internal')
    wrong(parseDomain, ['', 'Mesh.internal', 'a b', '*.a', 'a..b'])
    assert.deepEqual(collectDomains('a'), ['a'])
    assert.deepEqual(collectDomains('b', ['a']), ['a', 'b'])
    wrong(collectDomains, ['A'])
    assert.deepEqual(collectIpRanges('10.0.0.0/8'), ['10.0.0.0/8'])
    assert.deepEqual(collectIpRanges('::/0', ['10.0.0.0/8']), ['10.0.0.0/8', '::/0'])
    wrong(collectIpRanges, ['', '10.0.0.1/8', '10.0.0.0'])
  })
})
