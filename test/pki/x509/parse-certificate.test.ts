import assert from 'node:assert/strict'
import { readDer } from '../../../pki/src/der/read.ts'
import {
  parseCertificate,
  parseCertificates,
  readExtensionList,
} from '../../../pki/src/x509/parse-certificate.ts'
import {
  altNames,
  der,
  extension,
  type MintOptions,
  mint,
  sequence,
} from '../../agent-sdk/tls/mint.ts'

const BASIC = '2.5.29.19'
const bytes = (hex: string) => Buffer.from(hex, 'hex')
const bool = (hex: string) => der(0x01, bytes(hex))

describe('a certificate', () => {
  const parse = (options: MintOptions = {}) =>
    parseCertificates(mint(options).pem)[0] ?? assert.fail('no certificate')
  /** With these extensions and no others. */
  const withOnly = (...extensions: Buffer[]) => parse({ usages: null, extensions })

  it('without extensions limits nothing, and is no CA', () => {
    const { names, isCa, pathLength, keyUsage, extKeyUsage, ...rest } = withOnly()
    assert.deepEqual(names, { uris: [], dnsNames: [], ipAddresses: [], others: [] })
    assert.deepEqual([isCa, pathLength, keyUsage, extKeyUsage], [false, null, null, null])
    const { subjectKeyId, authorityKeyId, nameConstraints, unknownCritical } = rest
    assert.deepEqual([subjectKeyId, authorityKeyId, nameConstraints], [null, null, null])
    assert.deepEqual(unknownCritical, [])
    assert.equal(rest.signatureAlgorithm, '1.2.840.10045.4.3.2')
    assert.match(rest.fingerprint, /^[0-9a-f]{64}$/)
    assert.ok(rest.subject.equals(rest.issuer))
  })

  it('is a CA by its basic constraints, with as many below it as these say', () => {
    for (const [content, isCa, pathLength] of [
      [sequence(), false, null],
      [sequence(bool('ff')), true, null],
      [sequence(bool('ff'), der(0x02, bytes('00'))), true, 0],
      [sequence(bool('ff'), der(0x02, bytes('05'))), true, 5],
    ] as const) {
      const found = withOnly(extension(BASIC, content, true))
      assert.deepEqual([found.isCa, found.pathLength], [isCa, pathLength])
    }
  })

  it('says what its key is for', () => {
    const usage = (hex: string) => withOnly(extension('2.5.29.15', der(0x03, bytes(hex)))).keyUsage
    assert.deepEqual([usage('0780'), usage('0106'), usage('0780ff80')], [0x80, 0x06, 0x80])
    const purposes = parse({ usages: ['client'] }).extKeyUsage
    assert.deepEqual(purposes, ['1.3.6.1.5.5.7.3.2'])
  })

  it('names keys by identifiers, its own and that of its issuer', () => {
    const id = bytes('0102')
    const own = extension('2.5.29.14', der(0x04, id))
    const issuer = (...parts: Buffer[]) => extension('2.5.29.35', sequence(...parts))
    const both = withOnly(own, issuer(der(0x82, bytes('05')), der(0x80, id)))
    assert.deepEqual([both.subjectKeyId, both.authorityKeyId], [id, id])
    assert.equal(withOnly(issuer()).authorityKeyId, null)
    assert.equal(withOnly(extension('2.5.29.14', der(0x0c, id))).subjectKeyId, null)
  })

  it('has names of every kind, those that are not understood by what they are', () => {
    const san = altNames(
      ...([
        [0x86, 'spiffe://a/b'],
        [0x82, 'a.test'],
        [0x82, 'b.test'],
        [0x87, bytes('0a000001')],
        [0x81, 'a@b.test'],
        [0x88, bytes('2a03')],
        [0xa0, Buffer.alloc(0)],
      ] as const),
    )
    assert.deepEqual(withOnly(san).names, {
      ...{ uris: ['spiffe://a/b'], dnsNames: ['a.test', 'b.test'] },
      ...{ ipAddresses: [bytes('0a000001')], others: ['email', 'registered id', 'other name'] },
    })
  })

  it('permits and excludes names as a CA', () => {
    const tree = (tag: number, text: string) => sequence(der(tag, Buffer.from(text)))
    const none = { uris: [], dnsNames: [], ipAddresses: [], others: [] }
    const constraints = (...lists: Buffer[]) =>
      withOnly(extension('2.5.29.30', sequence(...lists), true)).nameConstraints
    assert.deepEqual(
      constraints(der(0xa0, tree(0x82, 'a'), tree(0x86, 'b')), der(0xa1, tree(0x82, 'c'))),
      {
        permitted: { ...none, dnsNames: ['a'], uris: ['b'] },
        excluded: { ...none, dnsNames: ['c'] },
      },
    )
    assert.deepEqual(constraints(der(0xa1, tree(0x81, 'x'))), {
      ...{ permitted: none, excluded: { ...none, others: ['email'] } },
    })
  })

  it('names the critical extensions that nobody here understands', () => {
    const unknown = '1.2.3.4'
    const content = der(0x05)
    const found = withOnly(
      extension(unknown, content, true),
      extension('1.2.3.5', content),
      // understood, and so not named
      extension('2.5.29.15', der(0x03, bytes('0780')), true),
      // key identifiers must not be critical
      extension('2.5.29.14', der(0x04, bytes('01')), true),
    )
    assert.deepEqual(found.unknownCritical, [unknown, '2.5.29.14'])
  })

  it('is refused where there is none, or where it is broken', () => {
    const invalid = { code: 'MESH_PKI_INVALID' }
    assert.throws(() => parseCertificates('text'), invalid)
    assert.throws(() => parseCertificate(Buffer.from('text')), invalid)
    const key = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'
    assert.throws(() => parseCertificates(key), { message: /there is no certificate in it/ })
    const two = mint().pem + key + mint().pem
    assert.equal(parseCertificates(two).length, 2)
  })
})

describe('a list of extensions', () => {
  const oid = der(0x06, bytes('2a03'))
  const content = der(0x04, der(0x05))
  const list = (...parts: Buffer[][]) =>
    readExtensionList(readDer(sequence(...parts.map((one) => sequence(...one)))))

  it('says of each whether it is critical, which it need not say', () => {
    for (const [parts, critical] of [
      [[oid, content], false],
      [[oid, bool('00'), content], false],
      [[oid, bool('ff'), content], true],
    ] as const) {
      const [one] = list([...parts])
      assert.deepEqual([one?.id, one?.critical, one?.value.tag], ['1.2.3', critical, 0x05])
    }
    assert.deepEqual(list(), [])
  })

  it('holds each once, with a value', () => {
    const other = der(0x06, bytes('2a04'))
    assert.equal(list([oid, content], [other, content]).length, 2)
    for (const [parts, why] of [
      [
        [
          [oid, content],
          [oid, content],
        ],
        /an extension stands twice/,
      ],
      [[[oid]], /one value was expected/],
      [[[oid, der(0x04)]], /one value was expected/],
      [[[oid, der(0x03, bytes('00'))]], /one value was expected/],
      [[[oid, bool('01'), content]], /bad boolean/],
      [[[content, content]], /unexpected type/],
    ] as const)
      assert.throws(() => list(...parts.map((one) => [...one])), {
        ...{ code: 'MESH_PKI_INVALID', message: why },
      })
  })
})
