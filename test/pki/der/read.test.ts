import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import fc from 'fast-check'
import { parsePem, toPem } from '../../../pki/src/der/pem.ts'
import { children, readDer, readOid, readSmallInteger } from '../../../pki/src/der/read.ts'
import { integer, octetString, oid, sequence } from '../../../pki/src/der/write.ts'
import { parseCertificate } from '../../../pki/src/x509/parse-certificate.ts'

const onlyMeshErrors = (read: () => unknown) => {
  try {
    read()
  } catch (error) {
    assert.ok(error instanceof MeshError, String(error))
  }
}

describe('reading DER', () => {
  it('reads back what was written', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(2 ** 31 - 1), (bytes, number) => {
        const written = sequence(octetString(Buffer.from(bytes)), integer(number), oid('2.5.29.17'))
        const [octets, small, id] = children(readDer(written))
        assert.deepEqual(octets?.content, Buffer.from(bytes))
        assert.equal(readSmallInteger(small), number)
        assert.equal(readOid(id), '2.5.29.17')
      }),
    )
  })

  it('refuses lengths that are indefinite, not minimal, or larger than what is there', () => {
    for (const hex of [
      '',
      '30',
      '3080',
      '30800000',
      '308100',
      '30820001ff',
      '3005',
      '0500 00',
      '1f0100',
    ])
      assert.throws(
        () => readDer(Buffer.from(hex.replace(' ', ''), 'hex')),
        { code: 'MESH_PKI_INVALID' },
        hex,
      )
  })

  it('throws nothing but a MeshError, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        onlyMeshErrors(() => readDer(Buffer.from(bytes)))
        onlyMeshErrors(() => parseCertificate(Buffer.from(bytes)))
        onlyMeshErrors(() =>
          readOid({ tag: 6, content: Buffer.from(bytes), raw: Buffer.from(bytes) }),
        )
      }),
    )
  })
})

describe('reading PEM', () => {
  it('reads back what was written, whatever stands between', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 400 }), (bytes) => {
        const der = Buffer.from(bytes)
        const pem = toPem('CERTIFICATE', der)
        const text = `Subject: x\n${pem}\n# more\r\n${pem.replaceAll('\n', '\r\n')}`
        assert.deepEqual(parsePem(text), [
          { label: 'CERTIFICATE', der },
          { label: 'CERTIFICATE', der },
        ])
      }),
    )
  })

  it('refuses half a block and what is not base64', () => {
    for (const text of [
      '-----BEGIN CERTIFICATE-----\nAAAA\n',
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----BEGIN CERTIFICATE-----\n',
      '-----BEGIN CERTIFICATE-----\nAA?A\n-----END CERTIFICATE-----\n',
      '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n',
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END PRIVATE KEY-----\n',
    ])
      assert.throws(() => parsePem(text), { code: 'MESH_PKI_INVALID' })
  })
})
