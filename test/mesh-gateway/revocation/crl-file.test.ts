import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import {
  type CrlSet,
  EarlyCrlError,
  readCrls,
} from '../../../mesh-gateway/src/revocation/crl-file.ts'
import { crlPem, type MintCrlOptions, mintCrl } from '../../agent-sdk/tls/crl/mint-crl.ts'
import { type Minted, mint } from '../../agent-sdk/tls/mint.ts'
import { rootsOf } from '../../agent-sdk/tls/present.ts'

const MINUTE = 60_000
const NOW = Date.parse('2026-11-29T12:00:00Z')
const at = (minutes: number) => new Date(NOW + minutes * MINUTE)

describe('the file of revocation lists', () => {
  const life = { notBefore: at(-1e6), notAfter: at(1e6) }
  const root = mint({ name: 'root', pathLength: null, ...life })
  const ca = (name: string, issuer = root) => mint({ name, issuer, pathLength: 0, ...life })
  const one = ca('one')
  const two = ca('two')
  const leaf = mint({ issuer: one, uris: ['spiffe://mesh.internal/gateway/gw'], ...life })
  const identity = { roots: rootsOf(root), certificateChain: leaf.pem + one.pem }

  const list = (options: Partial<MintCrlOptions> = {}) =>
    crlPem(mintCrl({ issuer: one, thisUpdate: at(-10), nextUpdate: at(600), ...options }))
  const read = (text: string, inUse: CrlSet = new Map(), nowMs = NOW) =>
    readCrls(Buffer.from(text), identity, inUse, nowMs)
  const refusal = (text: string, inUse: CrlSet = new Map(), nowMs = NOW): MeshError => {
    try {
      read(text, inUse, nowMs)
    } catch (error) {
      assert.ok(error instanceof MeshError)
      assert.equal(error.code, 'MESH_REVOCATION_INVALID')
      return error
    }
    throw new assert.AssertionError({ message: 'it was taken' })
  }
  const serials = (set: CrlSet) => [...set.values()].flatMap((crl) => [...crl.serials])

  describe('a list from the future', () => {
    const future = list({ number: 9, thisUpdate: at(2 * 24 * 60) })

    it('is refused, with the time from when it is good', () => {
      const error = refusal(future)
      assert.match(error.message, /2026-12-01T12:00:00\.000Z, which lies ahead/)
      assert.ok(error instanceof EarlyCrlError)
      assert.equal(error.fromMs, at(2 * 24 * 60 - 5).getTime())
      assert.equal(read(future, new Map(), error.fromMs).size, 1)
    })

    it('is taken when the clock of its CA is some minutes ahead', () => {
      assert.equal(read(list({ thisUpdate: at(5) })).size, 1)
      const second = 1 / 60
      assert.ok(refusal(list({ thisUpdate: at(5 + second) })) instanceof EarlyCrlError)
    })

    it('that was let in by a wrong clock does not stand in the way of those of today', () => {
      const held = read(future, new Map(), at(2 * 24 * 60).getTime())
      assert.deepEqual(serials(read(list({ number: 10, serials: ['2a'] }), held)), ['2a'])
      assert.deepEqual(serials(read(list({ number: 8, serials: ['2a'] }), held)), ['2a'])
    })
  })

  describe('is newer or older by number and time (RFC 5280, section 5.2.3)', () => {
    const held = (number: number | null, minutes: number) =>
      read(list({ number, thisUpdate: at(minutes) }))

    it('by number, whatever the time', () => {
      assert.equal(read(list({ number: 6, thisUpdate: at(-20) }), held(5, -10)).size, 1)
      assert.match(
        refusal(list({ number: 4, thisUpdate: at(-20) }), held(5, -10)).message,
        /it is number 4 of .*, older than that in use, number 5 of /,
      )
      const back = refusal(list({ number: 4, thisUpdate: at(-5) }), held(5, -10))
      assert.match(back.hint, /its number went back.*restored from a backup/)
    })

    it('by time, when a list has no number or both have the same', () => {
      for (const [before, next] of [
        [null, null],
        [5, null],
        [null, 5],
        [5, 5],
      ] as const) {
        const later = list({ number: next, thisUpdate: at(-5) })
        assert.equal(read(later, held(before, -10)).size, 1)
        const same = list({ number: next, thisUpdate: at(-10) })
        assert.equal(read(same, held(before, -10)).size, 1)
        const earlier = list({ number: next, thisUpdate: at(-20) })
        assert.match(refusal(earlier, held(before, -10)).message, /older than that in use/)
      }
    })
  })

  describe('of several CAs', () => {
    const both = list() + list({ issuer: two }) + two.pem

    it('holds up to 64 lists and certificates, and more are refused by name', () => {
      const many: Minted[] = Array.from({ length: 64 }, (_, n) => ca(`ca-${n}`))
      const lists = many.map((issuer) => list({ issuer }))
      const certificates = many.map(({ pem }) => pem)
      assert.equal(read([...lists, ...certificates].join('')).size, 64)
      assert.match(
        refusal([...lists, list(), ...certificates].join('')).message,
        /more than 64 lists/,
      )
      const more = refusal(list() + [...certificates, two.pem].join(''))
      assert.match(more.message, /more than 64 certificates/)
      assert.match(more.hint, /certificates of the CAs that signed/)
    })

    it('is refused when the list of a CA is missing that is in use', () => {
      const held = read(both)
      assert.match(refusal(list({ number: 2 }), held).message, /the list of a CA is missing/)
      assert.equal(read(list({ number: 2 }) + list({ issuer: two }) + two.pem, held).size, 2)
    })

    it('may leave out a CA that has ended or leads to no root any more', () => {
      const held = read(both)
      const ended = at(1e6).getTime()
      assert.match(refusal(list({ number: 2 }), held, ended).message, /is missing that is in use/)
      const later = at(1e6 + 1).getTime()
      assert.equal(read(list({ number: 2 }), held, later).size, 1)
      const other = mint({ name: 'other', pathLength: null, ...life })
      const moved = { roots: rootsOf(other), certificateChain: leaf.pem + one.pem }
      const text = Buffer.from(list({ issuer: other }))
      assert.equal(readCrls(text, moved, held, NOW).size, 1)
    })

    it('has one list of each: parts of one are not put together', () => {
      assert.match(refusal(list() + list({ number: 2 })).message, /two lists are of the same CA/)
    })
  })

  it('says what of it is no list, no certificate, or damaged', () => {
    const block = (label: string, body: string) =>
      `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`
    const damaged = /a PEM block that is damaged or neither a list nor a certificate/
    for (const [text, says] of [
      ['', /it holds no list$/],
      ['text', /it holds no list$/],
      [one.pem + two.pem, /it holds no list$/],
      [block('CERTIFICATE', 'AAAA'), /it holds a certificate that is damaged$/],
      [list() + block('CERTIFICATE', 'AAAA'), /it holds a certificate that is damaged$/],
      [list() + block('PRIVATE KEY', 'AAAA'), damaged],
      [list() + block('X509 CRL', 'AA?A'), damaged],
      [`${list()}-----BEGIN CERTIFICATE-----\n`, damaged],
      [list().replace('END X509', 'END X508'), damaged],
    ] as const)
      assert.match(refusal(text).message, says, text.slice(0, 100))
    // text between the blocks is a comment
    assert.equal(read(`of today:\n${list()}\n# end\n`).size, 1)
  })

  it('may be one list in DER', () => {
    const bytes = mintCrl({
      issuer: one,
      thisUpdate: at(-10),
      nextUpdate: at(600),
      serials: ['2a'],
    })
    assert.deepEqual(serials(readCrls(bytes, identity, new Map(), NOW)), ['2a'])
    for (const broken of [bytes.subarray(0, -1), Buffer.concat([bytes, bytes])])
      assert.throws(() => readCrls(broken, identity, new Map(), NOW), {
        code: 'MESH_REVOCATION_INVALID',
      })
  })

  it('trusts no CA below one that may have none below it', () => {
    const below = ca('below', one)
    const error = refusal(list({ issuer: below }) + below.pem)
    assert.match(error.message, /does not lead to a root/)
  })
})
