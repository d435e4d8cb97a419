import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'
import { readSubjectAltNames } from '../../../agent-sdk/src/tls/subject-alt-names.ts'
import { altNames, der, extension, mint, sequence, URI_SAN } from './mint.ts'

const URI = 0x86
const DNS = 0x82
const ID = 'spiffe://mesh.internal/tenant/acme/agent/planner'

function namesOf(...extensions: Buffer[]) {
  return readSubjectAltNames(mint({ extensions }).certificate.raw)
}

function refuses(...extensions: Buffer[]) {
  assert.throws(
    () => namesOf(...extensions),
    (error) => error instanceof MeshError && error.code === 'MESH_IDENTITY_MALFORMED',
  )
}

describe('the names in a certificate', () => {
  it('are its URIs and its DNS names in lower case, and nothing else', () => {
    const names = namesOf(
      altNames(
        [URI, ID],
        [DNS, 'Planner.ACME.mesh.internal'],
        [DNS, '*.acme.mesh.internal'],
        [0x81, 'someone@example.com'],
        [0x87, Buffer.from([127, 0, 0, 1])],
      ),
    )
    assert.deepEqual(names, {
      uris: [ID],
      dnsNames: ['planner.acme.mesh.internal', '*.acme.mesh.internal'],
    })
  })

  it('are none where there is no such extension', () => {
    assert.deepEqual(readSubjectAltNames(mint().certificate.raw), { uris: [], dnsNames: [] })
  })

  it('are not taken from an extension that occurs twice', () => {
    refuses(altNames([URI, ID]), altNames([URI, ID]))
  })

  it('are not taken from an empty extension', () => {
    refuses(extension(URI_SAN, sequence()))
    refuses(extension(URI_SAN, Buffer.alloc(0)))
  })

  for (const [what, value] of [
    ['an embedded NUL', `${ID}\0.evil`],
    ['a character that is not ASCII', Buffer.from(`${ID}ü`)],
    ['a blank', `${ID} x`],
    ['a line feed', `${ID}\n`],
    ['no character at all', ''],
    ['more than 2048 characters', `spiffe://mesh.internal/${'a'.repeat(2048)}`],
  ] as const) {
    it(`are refused when a URI has ${what}`, () => refuses(altNames([URI, value])))
  }

  for (const name of ['a\0b.example', 'a..b', '-a.example', 'a b', 'ä.example', '', '.', 'a.'])
    it(`are refused when a DNS name is ${JSON.stringify(name)}`, () => {
      refuses(altNames([URI, ID], [DNS, name]))
    })

  it('are refused when lengths lie, are not minimal, or leave bytes over', () => {
    const good = sequence(der(URI, Buffer.from(ID)))
    refuses(extension(URI_SAN, Buffer.concat([good, Buffer.from([0])])))
    refuses(
      extension(
        URI_SAN,
        Buffer.concat([Buffer.from([0x30, 0x81, good.length - 2]), good.subarray(2)]),
      ),
    )
    refuses(extension(URI_SAN, Buffer.from([0x30, 0x80, URI, 0x01, 0x61, 0x00, 0x00])))
    refuses(extension(URI_SAN, Buffer.from([0x30, 0x03, URI, 0x7f, 0x61])))
    refuses(extension(URI_SAN, Buffer.from([0x31, 0x03, URI, 0x01, 0x61])))
  })

  it('are never read past the end: every torn certificate is refused', () => {
    const { raw } = mint({ uris: [ID] }).certificate
    for (let length = 0; length < raw.length; length += 1)
      assert.throws(() => readSubjectAltNames(raw.subarray(0, length)), MeshError)
  })

  it('do not crash the reader when bytes are changed at random', () => {
    const { raw } = mint({ uris: [ID], dnsNames: ['planner.acme.mesh.internal'] }).certificate
    for (let at = 0; at < raw.length; at += 1) {
      const damaged = Buffer.from(raw)
      damaged[at] = (damaged[at] ?? 0) ^ 0xff
      try {
        readSubjectAltNames(damaged)
      } catch (error) {
        assert.ok(error instanceof MeshError, String(error))
      }
    }
  })

  it('agree with those that OpenSSL reads', () => {
    const { raw } = mint({ uris: [ID], dnsNames: ['planner.acme.mesh.internal'] }).certificate
    assert.equal(
      new X509Certificate(raw).subjectAltName,
      `URI:${ID}, DNS:planner.acme.mesh.internal`,
    )
  })
})
