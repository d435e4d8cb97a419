/** A revocation list counts when a CA of the mesh has signed it: by its name, its usage, its way to a root, and its key. */
import assert from 'node:assert/strict'
import { parseCrl, verifyCrl } from '@clawmesh/agent-sdk/mesh'
import { anchorIdentity } from '../../../../agent-sdk/src/tls/certification-path.ts'
import { keyIdentity } from '../../../../agent-sdk/src/tls/peer-certificate.ts'
import { der, extension, type Minted, type MintOptions, mint, sequence, subject } from '../mint.ts'
import { rootsOf } from '../present.ts'
import { mintCrl } from './mint-crl.ts'

const HOUR = 3_600_000
const ca = (name: string, more: MintOptions = {}) => mint({ name, pathLength: null, ...more })
const root = ca('root')
const int = ca('int', { issuer: root })

function verified(
  issuer: Minted,
  candidates: readonly Minted[],
  roots: readonly Minted[] = [root],
) {
  return verifyCrl(
    parseCrl(mintCrl({ issuer })),
    candidates.map(({ certificate }) => certificate),
    rootsOf(...roots),
  )
}
const refused = (message: RegExp) => ({ code: 'MESH_REVOCATION_INVALID', message })
const UNKNOWN = refused(/: no certificate of the CA that signed it is known$/)
const LOOSE = refused(/: the CA that signed it does not lead to a root in ca\.crt$/)
const FORGED = refused(/: its signature is not by the CA that it names$/)

describe('a revocation list by a CA of the mesh', () => {
  it('says whose certificates it is about, until when, and under which root', () => {
    const { issuerKey, issuerNotAfter, anchor, number } = verified(int, [int])
    assert.equal(issuerKey, keyIdentity(int.certificate))
    assert.deepEqual(issuerNotAfter, int.certificate.validToDate)
    assert.equal(anchor, anchorIdentity(root.certificate))
    assert.equal(number, '01')
  })

  it('may be by a root itself, which needs to be named nowhere else', () => {
    const own = verified(root, [])
    assert.equal(own.issuerKey, keyIdentity(root.certificate))
    assert.equal(own.anchor, anchorIdentity(root.certificate))
  })

  it('may be by a CA further down, and by one that has ended', () => {
    const below = ca('below', { issuer: int })
    assert.equal(verified(below, [below, int]).anchor, anchorIdentity(root.certificate))
    assert.throws(() => verified(below, [below]), LOOSE)
    const ended = ca('ended', {
      ...{ issuer: root, notBefore: new Date(Date.now() - 2 * HOUR) },
      notAfter: new Date(Date.now() - HOUR),
    })
    assert.deepEqual(verified(ended, [ended]).issuerNotAfter, ended.certificate.validToDate)
  })

  it('is by the one of several CAs of a name whose key has signed it', () => {
    const namesake = ca('int', { issuer: root })
    for (const candidates of [
      [namesake, int],
      [int, namesake],
    ])
      assert.equal(verified(int, candidates).issuerKey, keyIdentity(int.certificate))
    assert.throws(() => verified(int, [namesake]), FORGED)
    // of one that leads to no root the key does not count
    const stranger = ca('int')
    assert.throws(() => verified(stranger, [stranger, int]), FORGED)
    assert.throws(() => verified(stranger, [stranger]), LOOSE)
  })

  it('is by no certificate that is no CA, has another name, or may not sign lists', () => {
    assert.throws(() => verified(int, []), UNKNOWN)
    const leaf = mint({ name: 'int', issuer: root, key: int })
    assert.throws(() => verified(int, [leaf]), UNKNOWN)
    const other = ca('other', { issuer: root, key: int })
    assert.throws(() => verified(int, [other]), UNKNOWN)
    // keyCertSign alone, and with the bit on the other side of cRLSign
    for (const caUsage of [0x04, 0x05]) {
      const mute = ca('int', { issuer: root, key: int, caUsage })
      assert.throws(() => verified(int, [mute]), UNKNOWN)
    }
    // one that does not say what its key is for may (RFC 5280, section 4.2.1.3)
    const constraints = extension('2.5.29.19', sequence(der(0x01, Buffer.from([0xff]))), true)
    const open = { name: 'int', issuer: root, key: int, usages: null, extensions: [constraints] }
    assert.equal(verified(int, [mint(open)]).issuerKey, keyIdentity(int.certificate))
  })

  it('is read past a certificate whose name is not encoded as DER has it', () => {
    const name = subject('int')
    const loose = Buffer.concat([Buffer.from([0x30, 0x81, name.length - 2]), name.subarray(2)])
    const damaged = ca('int', { issuer: root, key: int, subjectName: loose })
    assert.throws(() => verified(int, [damaged]), UNKNOWN)
    assert.equal(verified(int, [damaged, int]).issuerKey, keyIdentity(int.certificate))
  })

  it('is of the CA whose root is in the bundle at that moment', () => {
    const other = ca('other root')
    assert.throws(() => verified(int, [int], [other]), LOOSE)
    const cross = ca('int', { issuer: other, key: int })
    assert.equal(verified(int, [int, cross], [other]).anchor, anchorIdentity(other.certificate))
  })
})
