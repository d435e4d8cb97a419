import assert from 'node:assert/strict'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import {
  type CertificateContent,
  distinguishedName,
  type Issuer,
  keyIdOf,
  type NamePart,
  signCertificate,
} from '../../../pki/src/x509/certificate.ts'
import { parseCertificate } from '../../../pki/src/x509/parse-certificate.ts'

describe('a certificate that is signed', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const nameOf = (...parts: readonly NamePart[]) => distinguishedName(parts)
  const issuer: Issuer = {
    name: nameOf({ type: 'commonName', value: 'root' }),
    ...{ keyId: Buffer.from('an id of twenty byte'), privateKey },
  }
  const sign = (more: Partial<CertificateContent> = {}) =>
    signCertificate(
      {
        ...{ subject: nameOf(), publicKey, extensions: [] },
        ...{
          notBefore: new Date('2026-01-02T03:04:05Z'),
          notAfter: new Date('2051-01-02T03:04:05Z'),
        },
        ...more,
      },
      issuer,
    )

  it('has the subject, the key, the life and the issuer that it was given', () => {
    const subject = nameOf(
      { type: 'organization', value: 'acme' },
      { type: 'commonName', value: 'planner' },
    )
    const der = sign({ subject })
    const certificate = new X509Certificate(der)
    assert.equal(certificate.subject, 'O=acme\nCN=planner')
    assert.equal(certificate.issuer, 'CN=root')
    assert.ok(certificate.publicKey.equals(publicKey))
    assert.ok(certificate.verify(publicKey))
    assert.deepEqual(
      [certificate.validFromDate.toISOString(), certificate.validToDate.toISOString()],
      ['2026-01-02T03:04:05.000Z', '2051-01-02T03:04:05.000Z'],
    )
    const { subjectKeyId, authorityKeyId } = parseCertificate(der)
    assert.deepEqual([subjectKeyId, authorityKeyId], [keyIdOf(publicKey), issuer.keyId])
  })

  it('leaves out parts of a name that are empty, or longer than X.520 allows', () => {
    const partly = (length: number) =>
      new X509Certificate(
        sign({
          subject: nameOf(
            { type: 'organization', value: 'o'.repeat(length) },
            { type: 'commonName', value: 'planner' },
          ),
        }),
      ).subject
    for (const length of [1, 64])
      assert.equal(partly(length), `O=${'o'.repeat(length)}\nCN=planner`)
    for (const length of [0, 65]) assert.equal(partly(length), 'CN=planner')
  })

  it('has a serial number of its own, positive and of 16 bytes', () => {
    const serials = Array.from({ length: 64 }, () => new X509Certificate(sign()).serialNumber)
    for (const serial of serials) assert.match(serial, /^[4-7][0-9A-F]{31}$/)
    assert.equal(new Set(serials).size, serials.length)
  })
})
