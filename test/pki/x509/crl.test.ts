import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { parseCrl } from '@clawmesh/agent-sdk/mesh'
import { distinguishedName } from '../../../pki/src/x509/certificate.ts'
import { type CrlContent, signCrl } from '../../../pki/src/x509/crl.ts'

describe('a list of revoked certificates that is signed', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const name = distinguishedName([{ type: 'commonName', value: 'ca' }])
  const sign = (more: Partial<CrlContent> = {}) =>
    signCrl(
      {
        ...{ number: 1, entries: [] },
        ...{
          thisUpdate: new Date('2026-01-02T03:04:05Z'),
          nextUpdate: new Date('2051-01-02T00:00:00Z'),
        },
        ...more,
      },
      { name, keyId: Buffer.from('key'), privateKey },
    )
  const revoked = new Date('2026-01-01T00:00:00Z')

  it('has a number that every reader takes: as few bytes as DER allows, 0 too, and never a negative one', () => {
    for (const [number, bytes] of [
      [0, '020100'],
      [1, '020101'],
      [127, '02017f'],
      [128, '02020080'],
      [255, '020200ff'],
      [256, '02020100'],
      [Date.UTC(2026, 0), null],
    ] as const) {
      const der = sign({ number })
      assert.equal(Number.parseInt(parseCrl(der).number ?? '', 16), number)
      // inside the OCTET STRING of the extension cRLNumber, 2.5.29.20
      if (bytes !== null)
        assert.ok(der.toString('hex').includes(`551d1404${length(bytes)}${bytes}`), bytes)
    }
  })

  it('has serial numbers in the same way, however they are written', () => {
    for (const [serial, bytes] of [
      ['0', '020100'],
      ['f', '02010f'],
      ['0000', '020100'],
      ['00aa', '020200aa'],
      ['7f01', '02027f01'],
      ['ff00ff', '020400ff00ff'],
    ] as const) {
      const der = sign({ entries: [{ serial, revoked, reasonCode: 1 }] })
      assert.ok(der.toString('hex').includes(`${bytes}170d`), `${serial}: before its time`)
      assert.equal(parseCrl(der).serials.size, 1)
    }
  })

  it('says why, but not when there is no reason, and has no entries where there are none', () => {
    const of = (reasonCode: number) =>
      sign({ entries: [{ serial: 'aa', revoked, reasonCode }] }).toString('hex')
    // the extension reasonCode, 2.5.29.21
    assert.ok(of(4).includes('0603551d1504030a0104'))
    assert.ok(!of(0).includes('551d15'))
    assert.equal(parseCrl(sign()).serials.size, 0)
    // an empty list of entries is no list (RFC 5280, section 5.1.2.6): the extensions follow the times at once
    assert.match(sign().toString('hex'), /170d[0-9a-f]{26}180f[0-9a-f]{30}a0/)
  })
})

const length = (hex: string) => (hex.length / 2).toString(16).padStart(2, '0')
