/** PEM is read block by block: each is one whole certificate, and nothing that is almost one is passed over. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'
import { parseCertificates, withoutByteOrderMark } from '../../../agent-sdk/src/identity/pem.ts'
import { mint } from '../tls/mint.ts'

const one = mint({ name: 'one', pathLength: null })
const two = mint({ name: 'two', pathLength: null })
const BEGIN = '-----BEGIN CERTIFICATE-----'
const END = '-----END CERTIFICATE-----'
const base64 = one.certificate.raw.toString('base64')
const block = (der: Buffer) => `${BEGIN}\n${der.toString('base64')}\n${END}\n`

const read = (text: string, max = 9) =>
  parseCertificates(text, 'ca.crt', max).map(({ fingerprint256 }) => fingerprint256)
const expected = (...certificates: readonly (typeof one)[]) =>
  certificates.map(({ certificate }) => certificate.fingerprint256)

/** On a curve that ends Node's TLS. */
const curved = mint({ key: generateKeyPairSync('ec', { namedCurve: 'secp256k1' }) })

describe('certificates in PEM', () => {
  const good: [what: string, text: string, certificates: (typeof one)[]][] = [
    ['one', one.pem, [one]],
    ['several, in their order', two.pem + one.pem, [two, one]],
    ['the same one twice', one.pem + one.pem, [one, one]],
    ['with text around', `subject: one\n\n${one.pem}\nthe end`, [one]],
    ['with a comment of dashes', `----- not a block -----\n${one.pem}`, [one]],
    ['with blanks at the ends of lines', one.pem.replaceAll('\n', ' \t\r\n'), [one]],
    ['with empty lines within', one.pem.replaceAll('\n', '\n\n'), [one]],
    ['in one line of base64', `${BEGIN}\n${base64}\n${END}`, [one]],
    ['without a last line end', one.pem.trimEnd(), [one]],
    ['after a byte order mark, read as UTF-8', `\uFEFF${one.pem}\uFEFF${two.pem}`, [one, two]],
    ['after one that was read as Latin-1', `\u00EF\u00BB\u00BF${one.pem}`, [one]],
    ['after two of them', `\uFEFF\u00EF\u00BB\u00BF${one.pem}`, [one]],
  ]
  for (const [what, text, certificates] of good)
    it(`are read: ${what}`, () => {
      assert.deepEqual(read(text), expected(...certificates))
    })

  const noName = Buffer.from(one.certificate.raw)
  // 1.2.840.10045.2.1, a key on a curve, made one of a kind that nobody knows
  const key = noName.indexOf(Buffer.from('2a8648ce3d0201', 'hex'))
  noName.writeUInt8(0x7f, key + 6)
  const bad: [what: string, text: string, why: string][] = [
    [
      'a key on a curve that Node does not survive',
      curved.pem,
      'holds a certificate with a key on the curve secp256k1; take P-256, P-384 or P-521',
    ],
    ['nothing', '', 'holds no certificate'],
    ['a comment alone', '# nothing yet\n', 'holds no certificate'],
    [
      'UTF-16',
      one.pem.replaceAll(/./gs, '$&\0'),
      'is UTF-16 text, as PowerShell writes it: save it as ASCII or UTF-8',
    ],
    [
      'UTF-16 the other way round',
      one.pem.replaceAll(/./gs, '\0$&'),
      'is UTF-16 text, as PowerShell writes it: save it as ASCII or UTF-8',
    ],
    [
      'an end without a beginning',
      `${END}\n${one.pem}`,
      'holds a PEM block that is not a certificate',
    ],
    ['text before the beginning', `x${one.pem}`, 'holds a PEM block that is not a certificate'],
    [
      'text after the beginning',
      one.pem.replace(BEGIN, `${BEGIN}x`),
      'holds a PEM block that is not a certificate',
    ],
    [
      'another label',
      one.pem.replaceAll('CERTIFICATE', 'TRUSTED CERTIFICATE'),
      'holds a PEM block that is not a certificate',
    ],
    [
      'a label in small letters',
      one.pem.replaceAll('CERTIFICATE', 'certificate'),
      'holds a PEM block that is not a certificate',
    ],
    [
      'a character that base64 does not have',
      one.pem.replace('\nM', '\n!M'),
      'holds a damaged PEM block',
    ],
    ['padding within a line', one.pem.replace('\nMI', '\nM=I'), 'holds a damaged PEM block'],
    ['three characters of padding', `${BEGIN}\nAAAA===\n${END}`, 'holds a damaged PEM block'],
    [
      'a block within a block',
      one.pem.replace(END, `${BEGIN}\n${END}`),
      'holds a damaged PEM block',
    ],
    ['text after the end', one.pem.replace(END, `${END}x`), 'holds a damaged PEM block'],
    ['no end', one.pem.replace(END, ''), 'ends within a PEM block, as if half written'],
    ['an empty block', `${BEGIN}\n${END}`, 'holds a PEM block that is not a certificate'],
    [
      'something else in DER',
      block(Buffer.from('0500', 'hex')),
      'holds a PEM block that is not a certificate',
    ],
    [
      'bytes after it',
      block(Buffer.concat([one.certificate.raw, Buffer.from([0])])),
      'holds a certificate with bytes after it',
    ],
    [
      'a key that nobody knows',
      block(noName),
      'holds a certificate with a key that cannot be read',
    ],
  ]
  for (const [what, text, why] of bad)
    it(`are refused, with the name of the file: ${what}`, () => {
      assert.throws(
        () => read(text),
        (error) => {
          assert.ok(error instanceof MeshError && error.code === 'MESH_IDENTITY_INVALID')
          assert.equal(error.message, `ca.crt: ${why}`)
          return true
        },
      )
    })

  it('may be as many as allowed, and not one more', () => {
    assert.equal(read(one.pem.repeat(3), 3).length, 3)
    assert.throws(() => read(one.pem.repeat(4), 3), {
      message: 'ca.crt: holds more than 3 certificates',
    })
  })

  it('lose a byte order mark at the beginning of a text alone', () => {
    assert.equal(withoutByteOrderMark('\uFEFFa\uFEFFb'), 'a\uFEFFb')
    assert.equal(withoutByteOrderMark('a\uFEFFb'), 'a\uFEFFb')
  })
})
