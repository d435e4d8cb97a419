import assert from 'node:assert/strict'
import { parseCrl } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import { der, extension, mint } from '../mint.ts'
import { distributionPoint, mintCrl } from './mint-crl.ts'

describe('a revocation list that is not about all certificates of its CA', () => {
  const issuer = mint({ name: 'ca', pathLength: null })
  const flag = (tag: number, value = 0xff) => der(tag, Buffer.from([value]))
  const listWith = (...extensions: readonly Buffer[]) => mintCrl({ issuer, extensions })
  const refused = (list: Buffer, words: RegExp) =>
    assert.throws(
      () => parseCrl(list),
      (error) => {
        assert.ok(error instanceof MeshError && error.code === 'MESH_REVOCATION_INVALID')
        assert.match(error.message, words)
        return true
      },
    )

  it('is refused when it has changes only, whether the mark of a delta is critical or not', () => {
    for (const critical of [true, false])
      refused(
        listWith(extension('2.5.29.27', der(0x02, Buffer.from([1])), critical)),
        /is a delta list/,
      )
  })

  it('is refused by name when its distribution point says what it leaves out, critical or not', () => {
    for (const critical of [true, false])
      for (const [part, words] of [
        [flag(0x81), /certificates of users only \(onlyContainsUserCerts\)/],
        [flag(0x82), /onlyContainsCACerts/],
        [der(0x83, Buffer.from([1, 0x02])), /onlySomeReasons/],
        [flag(0x84), /indirectCRL/],
        [flag(0x85), /onlyContainsAttributeCerts/],
      ] as const)
        refused(listWith(distributionPoint(critical, part)), words)
  })

  it('is refused when its distribution point cannot be read', () => {
    refused(listWith(distributionPoint(true, flag(0x86))), /not known/)
    refused(listWith(distributionPoint(true, flag(0x81, 0), flag(0x81))), /twice/)
    refused(listWith(extension('2.5.29.28', Buffer.from([0x04, 0x00]), true)), /not well-formed/)
  })

  it('is taken when the distribution point says only where it comes from, as step-ca has it', () => {
    for (const critical of [true, false]) {
      assert.equal(parseCrl(listWith(distributionPoint(critical))).number, '01')
      parseCrl(listWith(distributionPoint(critical, flag(0x81, 0), flag(0x84, 0))))
    }
  })

  it('is named by its extension when that is critical and unknown', () => {
    refused(listWith(extension('2.5.29.46', der(0x30), true)), /critical extension 2\.5\.29\.46 /)
    refused(
      listWith(extension('1.3.6.1.4.1.99999.1', der(0x30), true)),
      /1\.3\.6\.1\.4\.1\.99999\.1 /,
    )
    parseCrl(listWith(extension('2.5.29.46', der(0x30))))
  })

  it('is refused when an extension of it occurs twice; others may have numbers of their own', () => {
    const number = () => extension('2.5.29.20', der(0x02, Buffer.from([1])))
    refused(listWith(number()), /an extension occurs twice/)
    parseCrl(listWith(extension('1.3.6.1.4.1.1', der(0x30)), extension('1.3.6.1.4.1.2', der(0x30))))
  })

  it('is refused when parts of it are missing, or an entry is of something else', () => {
    const body = der(0x30, der(0x02, Buffer.from([1])))
    refused(der(0x30, body), /names two algorithms/)
    refused(der(0x30), /other than three parts/)
    const entry = (...parts: readonly Buffer[]) => der(0x30, der(0x30, Buffer.concat(parts)))
    const time = der(0x17, Buffer.from('261129120000Z'))
    const list = (entries: Buffer) => {
      const algorithm = der(0x30, Buffer.from('06082a8648ce3d040302', 'hex'))
      const fields = [der(0x02, Buffer.from([1])), algorithm, der(0x30), time, entries]
      return der(
        0x30,
        Buffer.concat([
          der(0x30, Buffer.concat(fields)),
          algorithm,
          der(0x03, Buffer.from([0, 1])),
        ]),
      )
    }
    const serial = der(0x02, Buffer.from([7]))
    assert.deepEqual([...parseCrl(list(entry(serial, time))).serials], ['07'])
    refused(list(entry(der(0x04, Buffer.from([7])), time)), /not a serial number and a time/)
    refused(list(entry(serial, der(0x04, Buffer.from('261129120000Z')))), /not a serial number/)
  })
})
