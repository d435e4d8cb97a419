/** What the extensions of a certificate say of it: its names, whether it may sign others, and what it is for. */
import assert from 'node:assert/strict'
import type { X509Certificate } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'
import { DerError } from '../../../agent-sdk/src/tls/der.ts'
import { checkLeaf, checkPurposes, pathLengthOf } from '../../../agent-sdk/src/tls/leaf-rules.ts'
import { findExtension, readSubjectAltNames } from '../../../agent-sdk/src/tls/subject-alt-names.ts'
import { altNames, der, extension, mint, sequence } from './mint.ts'

const URI = 0x86
const DNS = 0x82
const ID = 'spiffe://mesh.internal/tenant/acme/agent/planner'
const boolean = (byte: number) => der(0x01, Buffer.from([byte]))
const bits = (...bytes: number[]) => der(0x03, Buffer.from(bytes))
const integer = (...bytes: number[]) => der(0x02, Buffer.from(bytes))
const basic = (...parts: readonly Buffer[]) => extension('2.5.29.19', sequence(...parts), true)
const usage = (...bytes: number[]) => extension('2.5.29.15', bits(...bytes), true)
const purposes = (...last: readonly number[]) =>
  extension(
    '2.5.29.37',
    sequence(...last.map((n) => Buffer.from([6, 8, 0x2b, 6, 1, 5, 5, 7, 3, n]))),
  )
/** No certificate but its skeleton, with one list of extensions or several. */
const skeleton = (...lists: readonly (readonly Buffer[])[]) =>
  sequence(sequence(...lists.map((list) => der(0xa3, sequence(...list)))))
const certificate = (...extensions: readonly Buffer[]): X509Certificate =>
  mint({ usages: null, extensions }).certificate

describe('the names in a certificate', () => {
  const SAN = Buffer.from([0x55, 0x1d, 0x11])
  const malformed = { code: 'MESH_IDENTITY_MALFORMED' }
  const names = altNames([URI, ID])

  it('are those of the one extension, in the one list of extensions', () => {
    assert.deepEqual(readSubjectAltNames(skeleton([names])).uris, [ID])
    assert.deepEqual(readSubjectAltNames(skeleton()), { uris: [], dnsNames: [] })
    assert.deepEqual(readSubjectAltNames(skeleton([])), { uris: [], dnsNames: [] })
    assert.throws(() => readSubjectAltNames(skeleton([names], [names])), malformed)
    assert.throws(() => readSubjectAltNames(skeleton([names], [])), malformed)
    assert.throws(() => readSubjectAltNames(skeleton([names, names])), malformed)
  })

  it('stand in an extension of two parts, or of three with its criticality', () => {
    const id = der(0x06, SAN)
    const value = der(0x04, sequence(der(URI, Buffer.from(ID))))
    const found = (...parts: readonly Buffer[]) =>
      findExtension(skeleton([sequence(...parts)]), SAN)
    for (const parts of [
      [id, value],
      [id, boolean(0xff), value],
      [id, boolean(0), value],
    ])
      assert.ok(found(...parts) !== null)
    for (const parts of [
      [id],
      [id, boolean(0xff), value, value],
      [id, boolean(0xff), boolean(0xff), value],
      [id, integer(1), value],
      [id, value, value],
      [id, boolean(0xff)],
      [value],
      [],
    ])
      assert.throws(() => found(...parts), DerError)
    assert.equal(found(der(0x06, Buffer.from([0x55, 0x1d, 0x12])), value), null)
  })

  it('are visible ASCII, and no longer than a name can be', () => {
    const uri = (text: string) => readSubjectAltNames(skeleton([altNames([URI, text])])).uris[0]
    for (const text of ['!', '~', '!~', 'x'.repeat(2048)]) assert.equal(uri(text), text)
    for (const text of ['', ' ', '\u007f', 'x'.repeat(2049)])
      assert.throws(() => uri(text), malformed)
    const dns = (text: string) => readSubjectAltNames(skeleton([altNames([DNS, text])])).dnsNames[0]
    const label = 'a'.repeat(63)
    const longest = `${label}.${label}.${label}.${'a'.repeat(61)}`
    assert.equal(longest.length, 253)
    for (const text of [longest, '_a.b', '*.a', label, 'a-b', '1.2']) assert.equal(dns(text), text)
    for (const text of [
      `${longest}a`,
      `${label}a`,
      '*',
      '*.*.a',
      'a.*',
      'a-',
      '-a',
      'a.',
      '.a',
      '*a',
    ])
      assert.throws(() => dns(text), malformed, text)
  })
})

describe('the extensions of a leaf', () => {
  const refusal = (one: X509Certificate) => {
    try {
      checkLeaf(one)
      checkPurposes(one)
      return null
    } catch (error) {
      assert.ok(error instanceof MeshError)
      return `${error.code}: ${error.message}`
    }
  }
  const table: [what: string, extensions: Buffer[], refusal: RegExp | null][] = [
    ['none', [], null],
    ['constraints of no CA', [basic()], null],
    ['CA:FALSE in words, which DER leaves out', [basic(boolean(0))], null],
    ['CA:TRUE', [basic(boolean(0xff))], /NOT_LEAF: .*basic constraints have CA:TRUE/],
    ['CA:TRUE and a path length', [basic(boolean(0xff), integer(0))], /NOT_LEAF/],
    ['a path length without CA:TRUE', [basic(integer(0))], null],
    ['digitalSignature', [usage(7, 0x80)], null],
    ['digitalSignature and keyAgreement', [usage(3, 0x88)], null],
    ['keyCertSign', [usage(2, 0x84)], /NOT_LEAF: .*key usage has keyCertSign/],
    ['cRLSign', [usage(1, 0x82)], /NOT_LEAF: .*key usage has cRLSign/],
    ['keyAgreement alone', [usage(3, 0x08)], /UNTRUSTED: .*lacks digitalSignature/],
    // the bit beside both: encipherOnly (RFC 5280, section 4.2.1.3)
    ['digitalSignature and encipherOnly', [usage(0, 0x81)], null],
    ['no usage at all', [usage(0)], /UNTRUSTED: .*lacks digitalSignature/],
    ['usage of another type', [extension('2.5.29.15', integer(1))], /MALFORMED: the extensions/],
    ['constraints of another type', [extension('2.5.29.19', integer(1))], /MALFORMED/],
    ['both purposes', [purposes(1, 2)], null],
    ['both purposes and others', [purposes(3, 2, 9, 1)], null],
    ['servers alone', [purposes(1)], /UNTRUSTED: .*not for TLS clients: .*lacks clientAuth/],
    ['clients alone', [purposes(2)], /UNTRUSTED: .*not for TLS servers: .*lacks serverAuth/],
    ['no purpose', [purposes()], /UNTRUSTED: .*lacks serverAuth/],
    ['purposes of another type', [extension('2.5.29.37', sequence(integer(1)))], /MALFORMED/],
    ['purposes that are no list', [extension('2.5.29.37', integer(1))], /MALFORMED/],
  ]
  for (const [what, extensions, expected] of table)
    it(`are ${expected === null ? 'good' : 'refused'}: ${what}`, () => {
      const found = refusal(certificate(...extensions))
      if (expected === null) assert.equal(found, null)
      else assert.match(String(found), expected)
    })
})

describe('the path length of a CA', () => {
  const of = (...parts: readonly Buffer[]) => pathLengthOf(certificate(basic(...parts)))
  const TRUE = boolean(0xff)
  it('is a number of CAs, or none where it says nothing', () => {
    assert.equal(pathLengthOf(certificate()), Number.POSITIVE_INFINITY)
    assert.equal(of(), Number.POSITIVE_INFINITY)
    assert.equal(of(TRUE), Number.POSITIVE_INFINITY)
    assert.equal(of(TRUE, integer(0)), 0)
    assert.equal(of(TRUE, integer(1)), 1)
    assert.equal(of(TRUE, integer(127)), 127)
    assert.equal(of(TRUE, integer(0, 0x80)), Number.POSITIVE_INFINITY)
    assert.equal(of(TRUE, integer(1, 0)), Number.POSITIVE_INFINITY)
  })

  it('is refused when it is negative, empty or no number', () => {
    for (const wrong of [integer(0x80), integer(0xff), integer(), boolean(0xff)])
      assert.throws(() => of(TRUE, wrong), DerError)
  })
})
