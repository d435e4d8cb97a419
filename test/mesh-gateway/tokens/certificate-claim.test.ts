import assert from 'node:assert/strict'
import {
  certificateClaim,
  parseCertificateClaim,
} from '../../../mesh-gateway/src/tokens/certificate-claim.ts'

describe('the certificates that a token names', () => {
  const link = (serial: string, byte = 'ab') => ({
    ...{ fingerprint: byte.repeat(32), serial, issuerKey: 'cd'.repeat(32) },
  })

  it('are read as they were written, whatever their serial numbers', () => {
    for (const serial of ['01', '0', '1', 'abc', `f${'0'.repeat(39)}`, '7f'.repeat(20)]) {
      const [one] = parseCertificateClaim(certificateClaim([link(serial)]))
      assert.deepEqual(one, link(serial.length % 2 === 0 ? serial : `0${serial}`), serial)
    }
    const links = [link('01'), link('02', 'ef')]
    assert.deepEqual(certificateClaim(links).length, 2)
    assert.deepEqual(parseCertificateClaim(certificateClaim(links)), links)
  })

  it('have serial numbers without leading zeros, as certificates have', () => {
    const written = `${'A'.repeat(43)}.AAE.${'A'.repeat(43)}`
    assert.equal(parseCertificateClaim([written])[0]?.serial, '01')
  })

  it('are one to ten, and of no other form', () => {
    const [good = ''] = certificateClaim([link('01')])
    assert.equal(parseCertificateClaim(Array.from({ length: 10 }, () => good)).length, 10)
    const [fingerprint = '', serial = '', issuer = ''] = good.split('.')
    const longest = [fingerprint, 'A'.repeat(28), issuer].join('.')
    assert.equal(parseCertificateClaim([longest]).length, 1)
    for (const wrong of [
      ...[null, undefined, good, {}, { length: 1, 0: good }, []],
      Array.from({ length: 11 }, () => good),
      ...[5, '', 'x', 'a.b.c', `${good}A`, `A${good}`, `${good}.x`].map((one) => [good, one]),
      [[fingerprint, '', issuer].join('.')],
      [[fingerprint, 'A'.repeat(29), issuer].join('.')],
      [[fingerprint.slice(1), serial, issuer].join('.')],
      [[fingerprint, serial, issuer.slice(1)].join('.')],
      [[good]],
    ])
      assert.throws(
        () => parseCertificateClaim(wrong),
        { code: 'MESH_TOKEN_MALFORMED' },
        JSON.stringify(wrong),
      )
  })
})
