import assert from 'node:assert/strict'
import { checkDomain, lifeMs, toRange } from '../../../pki/src/ca/ca-terms.ts'

describe('what may be asked of a CA', () => {
  it('is a life of a hundred years at most', () => {
    for (const [days, ms] of [
      [0.5, 43_200_000],
      [1, 86_400_000],
      [36_500, 3_153_600_000_000],
    ] as const)
      assert.equal(lifeMs('rootDays', days), ms)
    for (const days of [0, -1, 36_500.1, 36_501, Number.NaN, Number.POSITIVE_INFINITY])
      assert.throws(() => lifeMs('rootDays', days), { name: 'TypeError', message: /^rootDays: / })
  })

  it('is a domain in lower case, and ranges of addresses', () => {
    checkDomain('meshDomain', 'mesh.internal')
    for (const domain of ['', 'Mesh.internal', 'a b', `${'a'.repeat(64)}.b`])
      assert.throws(() => checkDomain('meshDomain', domain), {
        ...{ name: 'TypeError', message: /^meshDomain: / },
      })
    // from JavaScript
    assert.throws(() => Reflect.apply(checkDomain, null, ['meshDomain', 5]), TypeError)
    assert.equal(toRange('10.0.0.0/8').toString('hex'), '0a000000ff000000')
    assert.throws(() => toRange('10.0.0.1/8'), { name: 'TypeError', message: /"10\.0\.0\.1\/8"$/ })
  })
})
