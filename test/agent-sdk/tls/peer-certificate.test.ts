/** What a certificate says of its holder, judged by the clock that is given and by the roots that are trusted at that moment. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'
import { anchorIdentity } from '../../../agent-sdk/src/tls/certification-path.ts'
import { fingerprintOf } from '../../../agent-sdk/src/tls/fingerprint.ts'
import {
  canonicalSerial,
  followChain,
  judgePeer,
  keyIdentity,
  readCertificate,
  readIdentity,
} from '../../../agent-sdk/src/tls/peer-certificate.ts'
import { spiffe } from '../../support/test-ca.ts'
import { altNames, type Minted, type MintOptions, mint } from './mint.ts'
import { PLANNER, rootsOf } from './present.ts'

const HOUR = 3_600_000
const second = (fromNowMs: number) => new Date(Math.floor((Date.now() + fromNowMs) / 1000) * 1000)
const LIFE = { notBefore: second(-HOUR / 2), notAfter: second(HOUR / 2) }

const root = mint({ name: 'root', pathLength: null })
const int = mint({ name: 'int', issuer: root, pathLength: 0 })
const leafOf = (more: MintOptions = {}) => mint({ issuer: int, uris: [PLANNER], ...LIFE, ...more })
const leaf = leafOf({ dnsNames: ['planner.acme.mesh.internal'] })

const read = (chain: readonly Minted[], more: { nowMs?: number; roots?: Minted[] } = {}) => {
  const { roots = [root], ...rest } = more
  return readCertificate(
    chain.map(({ certificate }) => certificate),
    { spiffe, roots: rootsOf(...roots), ...rest },
  )
}

describe('a certificate that is read', () => {
  it('says who, how long, by whom, and what a revocation can be about', () => {
    assert.deepEqual(read([leaf, int]), {
      identity: spiffe.agent('acme', 'planner'),
      dnsNames: ['planner.acme.mesh.internal'],
      ...LIFE,
      fingerprint: fingerprintOf(leaf.certificate),
      serial: leaf.certificate.serialNumber.toLowerCase(),
      rootFingerprint: fingerprintOf(root.certificate),
      anchor: anchorIdentity(root.certificate),
      links: [
        {
          fingerprint: fingerprintOf(leaf.certificate),
          serial: canonicalSerial(leaf.certificate.serialNumber),
          issuerKey: keyIdentity(int.certificate),
        },
        {
          fingerprint: fingerprintOf(int.certificate),
          serial: canonicalSerial(int.certificate.serialNumber),
          issuerKey: keyIdentity(root.certificate),
        },
      ],
    })
  })

  it('is good from its first millisecond to its last, by the clock that is given', () => {
    const [begins, ends] = [LIFE.notBefore.getTime(), LIFE.notAfter.getTime()]
    for (const nowMs of [begins, ends])
      assert.equal(read([leaf, int], { nowMs }).notAfter.getTime(), ends)
    assert.throws(() => read([leaf, int], { nowMs: begins - 1 }), {
      code: 'MESH_IDENTITY_NOT_YET_VALID',
    })
    assert.throws(() => read([leaf, int], { nowMs: ends + 1 }), { code: 'MESH_IDENTITY_EXPIRED' })
    assert.throws(() => read([leaf, int], { nowMs: Number.NaN }), MeshError)
    // without one, now
    const ended = leafOf({ notAfter: new Date(Date.now() - 60_000) })
    assert.throws(() => read([ended, int]), { code: 'MESH_IDENTITY_EXPIRED' })
  })

  const refused: [what: string, chain: Minted[], code: string][] = [
    ['no certificate', [], 'MESH_IDENTITY_NO_CERTIFICATE'],
    ['one of a CA', [leafOf({ pathLength: null }), int], 'MESH_IDENTITY_NOT_LEAF'],
    ['one without a URI', [leafOf({ uris: [] }), int], 'MESH_IDENTITY_AMBIGUOUS'],
    ['one with two', [leafOf({ uris: [PLANNER, PLANNER] }), int], 'MESH_IDENTITY_AMBIGUOUS'],
    [
      'one that names nobody of the mesh',
      [leafOf({ uris: ['spiffe://x/y'] }), int],
      'MESH_IDENTITY_MALFORMED',
    ],
    ['one without its intermediate', [leaf], 'MESH_IDENTITY_UNTRUSTED'],
    ['eleven certificates', [leaf, int, ...Array(9).fill(int)], 'MESH_IDENTITY_UNTRUSTED'],
  ]
  for (const [what, chain, code] of refused)
    it(`is refused: ${what}`, () => {
      assert.throws(() => read(chain), { code })
    })

  it('may come with nine others', () => {
    assert.equal(read([leaf, int, ...Array(8).fill(int)]).links.length, 2)
  })

  it('names one by its URI, with its DNS names', () => {
    const named = mint({ uris: [PLANNER], dnsNames: ['a.test', 'B.test'] }).certificate
    assert.deepEqual(readIdentity(named, spiffe), {
      identity: spiffe.agent('acme', 'planner'),
      dnsNames: ['a.test', 'b.test'],
    })
  })
})

describe('a certificate that is judged again', () => {
  const peer = read([leaf, int])
  const ends = LIFE.notAfter.getTime()
  const [trusted] = rootsOf(root)
  assert.ok(trusted !== undefined)
  const judged = (roots: (typeof trusted)[], nowMs = Date.now()) =>
    judgePeer(peer, { roots }, nowMs)

  it('is good while it lasts and its root is in the bundle', () => {
    assert.equal(judged([trusted]), null)
    assert.equal(judged([trusted], ends), null)
    assert.equal(judged([trusted], ends + 1), 'MESH_IDENTITY_EXPIRED')
    assert.equal(judged([trusted], Number.NaN), 'MESH_IDENTITY_EXPIRED')
    assert.equal(judged([]), 'MESH_IDENTITY_UNTRUSTED')
    assert.equal(
      judged(rootsOf(mint({ name: 'root', pathLength: null }))),
      'MESH_IDENTITY_UNTRUSTED',
    )
  })

  it('needs a root that has not ended, by its own certificate or another one of its CA', () => {
    const at = ends - 1000
    const until = (ms: number, more: object = {}) => ({
      ...trusted,
      notAfter: new Date(ms),
      ...more,
    })
    const renewed = { fingerprint: 'another', pem: 'never read', anchor: peer.anchor }
    assert.equal(judged([until(at)], at), null)
    assert.equal(judged([until(at - 1)], at), 'MESH_IDENTITY_UNTRUSTED')
    assert.equal(judged([until(at, renewed)], at), null)
    assert.equal(judged([until(at - 1, renewed)], at), 'MESH_IDENTITY_UNTRUSTED')
    assert.equal(judged([until(at - 1), until(at, renewed)], at), null)
    // by its fingerprint it is known at once, without a look at the anchor
    assert.equal(judged([until(at, { pem: 'never read', anchor: 'another' })], at), null)
    // an anchor that is not given is taken from the certificate
    const { anchor: _, ...bare } = until(at, { fingerprint: 'another' })
    assert.equal(judged([bare], at), null)
  })
})

describe('the chain of a certificate', () => {
  const follow = (chain: readonly Minted[], nowMs = Date.now()) =>
    followChain(
      chain.map(({ certificate }) => certificate),
      rootsOf(root),
      nowMs,
    )

  it('ends with the first of its certificates that ends', () => {
    const short = mint({ name: 'short', issuer: root, pathLength: 0, notAfter: second(HOUR / 4) })
    const below = leafOf({ issuer: short })
    assert.deepEqual(follow([below, short]).notAfter, short.certificate.validToDate)
    assert.deepEqual(follow([leaf, int]).notAfter, LIFE.notAfter)
  })

  it('is followed at the moment that is given', () => {
    const long = { notBefore: new Date(0), notAfter: second(9 * HOUR) }
    const below = leafOf(long)
    follow([below, int])
    assert.throws(() => follow([below, int], Date.now() + 2 * HOUR), {
      code: 'MESH_IDENTITY_UNTRUSTED',
    })
  })

  it('that is none is refused', () => {
    assert.throws(() => follow([]), { code: 'MESH_IDENTITY_UNTRUSTED' })
  })
})

describe('the names of keys and serial numbers', () => {
  it('are SHA-256 of the public key, and hexadecimal without zeros in front', () => {
    const spki = leaf.publicKey.export({ type: 'spki', format: 'der' })
    assert.equal(keyIdentity(leaf.certificate), createHash('sha256').update(spki).digest('hex'))
    const serials: [hex: string, canonical: string][] = [
      ['0A', '0a'],
      ['000A', '0a'],
      ['00000AB0', '0ab0'],
      ['ABCDEF', 'abcdef'],
      ['00', '00'],
      ['0000', '00'],
      ['10000A', '10000a'],
      ['AB0000', 'ab0000'],
    ]
    for (const [hex, canonical] of serials) assert.equal(canonicalSerial(hex), canonical)
  })

  it('are not read of names that are badly encoded', () => {
    const bad = leafOf({ uris: [], extensions: [altNames([0x86, 'a b'])] })
    assert.throws(() => read([bad, int]), { code: 'MESH_IDENTITY_MALFORMED' })
  })
})
