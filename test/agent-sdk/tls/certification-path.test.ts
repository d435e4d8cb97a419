import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { judgePeer, loadIdentity, type PeerCertificate } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import { findPath } from '../../../agent-sdk/src/tls/certification-path.ts'
import { fingerprintOf } from '../../../agent-sdk/src/tls/fingerprint.ts'
import { spiffe } from '../../support/test-ca.ts'
import { der, extension, type Minted, mint } from './mint.ts'
import { asCallee, PLANNER, present, rootsOf, type Verdict } from './present.ts'

const HOUR = 3_600_000

describe('the way from a certificate to a root', () => {
  const root = mint({ name: 'root', pathLength: null })
  const upper = mint({ name: 'upper', issuer: root, pathLength: 1 })
  const lower = mint({ name: 'lower', issuer: upper, pathLength: 0 })
  const leaf = mint({ issuer: lower, uris: [PLANNER] })
  const stranger = mint({ name: 'stranger', pathLength: null })
  let base: string
  before(async () => {
    base = await mkdtemp(join(tmpdir(), 'clawmesh-path-'))
  })
  after(() => rm(base, { recursive: true, force: true }))

  async function load(roots: readonly Minted[], ...chain: readonly [Minted, ...Minted[]]) {
    const dir = await mkdtemp(join(base, 'id-'))
    await writeFile(join(dir, 'tls.crt'), chain.map(({ pem }) => pem).join(''))
    await writeFile(join(dir, 'tls.key'), chain[0].keyPem)
    await writeFile(join(dir, 'ca.crt'), roots.map(({ pem }) => pem).join(''))
    return loadIdentity(dir, { spiffe })
  }

  it('is found whatever the order of the chain, and whatever else is in it (RFC 8446, section 4.4.2)', async () => {
    for (const more of [
      [lower, upper],
      [upper, lower],
      [root, lower, upper],
      [lower, upper, root],
      [stranger, lower, upper],
      [leaf, upper, lower],
      [lower, lower, upper],
    ]) {
      const way = [leaf, lower, upper].map(({ certificate }) => fingerprintOf(certificate))
      const { asCaller } = await present([root], leaf, ...more)
      assert.deepEqual(good(asCaller).links.map(linkFingerprint), way)
      assert.equal(good(asCaller).rootFingerprint, fingerprintOf(root.certificate))
      // Node as a client finds issuers only in order: what is loaded is sent in order
      const loaded = await load([root], leaf, ...more)
      assert.equal(loaded.identity.id, PLANNER)
      const sent = await asCallee(loaded, rootsOf(root))
      assert.deepEqual(good(sent).links.map(linkFingerprint), way)
    }
  })

  it('leads through certificates of CAs only, though OpenSSL takes a key usage for one', async () => {
    const signs = extension('2.5.29.15', der(0x03, Buffer.from([0, 0x84])), true)
    const half = mint({ name: 'half a CA', issuer: root, usages: null, extensions: [signs] })
    const below = mint({ issuer: half, uris: [PLANNER] })
    const { asCaller, asCallee: met } = await present([root], below, half)
    for (const said of [asCaller, met]) assert.equal(codeOf(said), 'MESH_IDENTITY_UNTRUSTED')
    await assert.rejects(load([root], below, half), { code: 'MESH_IDENTITY_UNTRUSTED' })
    const mute = mint({ name: 'mute', issuer: root, pathLength: 0, caUsage: 0x02 })
    const under = mint({ issuer: mute, uris: [PLANNER] })
    assert.equal(codeOf((await present([root], under, mute)).asCaller), 'MESH_IDENTITY_UNTRUSTED')
  })

  it('has no more CAs than those above permit', async () => {
    const tight = mint({ name: 'tight', issuer: root, pathLength: 0 })
    const extra = mint({ name: 'extra', issuer: tight, pathLength: 0 })
    const below = mint({ issuer: extra, uris: [PLANNER] })
    const { asCaller, asCallee: met } = await present([root], below, extra, tight)
    for (const said of [asCaller, met]) assert.equal(codeOf(said), 'MESH_IDENTITY_UNTRUSTED')
    const question = { leaf: below.certificate, anchors: [root], nowMs: null }
    const between = [extra.certificate, tight.certificate]
    assert.equal(findPath({ ...question, between }), null)
  })

  it('holds from the first to the last moment of each CA, and no longer (RFC 5280, section 4.1.2.5)', () => {
    const ca = mint({ name: 'ca', issuer: root, pathLength: 0 })
    const below = mint({ issuer: ca, uris: [PLANNER] })
    const question = { leaf: below.certificate, between: [ca.certificate], anchors: [root] }
    const holds = (nowMs: number) => findPath({ ...question, nowMs }) !== null
    const [begin, end] = [
      Math.max(...[ca, root].map(({ certificate }) => certificate.validFromDate.getTime())),
      Math.min(...[ca, root].map(({ certificate }) => certificate.validToDate.getTime())),
    ]
    assert.deepEqual([begin - 1, begin, end, end + 1].map(holds), [false, true, true, false])
  })

  it('leads to the root that is in time, when it was renewed with its key', async () => {
    const ended = {
      notBefore: new Date(Date.now() - 2 * HOUR),
      notAfter: new Date(Date.now() - HOUR),
    }
    const old = mint({ name: 'root', pathLength: null, key: root, ...ended })
    const direct = mint({ issuer: root, uris: [PLANNER] })
    for (const roots of [
      [old, root],
      [root, old],
    ]) {
      const { asCaller, asCallee: met } = await present(roots, direct)
      for (const said of [asCaller, met]) {
        const peer = good(said)
        assert.equal(judgePeer(peer, { roots: rootsOf(...roots) }, Date.now()), null)
      }
      await load(roots, direct)
    }
  })

  it('still stands when the root is replaced by one of the same name and key, and by no other', async () => {
    const peer = good((await present([root], leaf, lower, upper)).asCaller)
    const renewed = mint({ name: 'root', pathLength: null, key: root })
    const namesake = mint({ name: 'root', pathLength: null })
    const renamed = mint({ name: 'other', pathLength: null, key: root })
    const judged = (...roots: Minted[]) => judgePeer(peer, { roots: rootsOf(...roots) }, Date.now())
    assert.equal(judged(renewed), null)
    assert.equal(judged(namesake), 'MESH_IDENTITY_UNTRUSTED')
    assert.equal(judged(renamed), 'MESH_IDENTITY_UNTRUSTED')
    assert.equal(judged(namesake, renewed), null)
    const { roots } = await load([renewed], leaf, lower, upper)
    assert.equal(judgePeer(peer, { roots }, Date.now()), null)
  })

  it('ends with the first of its certificates that ends', async () => {
    const short = mint({
      name: 'short',
      issuer: root,
      pathLength: 0,
      notAfter: wholeSecond(HOUR / 2),
    })
    const long = mint({ issuer: short, uris: [PLANNER] })
    const ends = short.certificate.validToDate.getTime()
    for (const said of Object.values(await present([root], long, short))) {
      const peer = good(said)
      assert.equal(peer.notAfter.getTime(), ends)
      assert.equal(judgePeer(peer, { roots: rootsOf(root) }, ends), null)
      assert.equal(judgePeer(peer, { roots: rootsOf(root) }, ends + 1), 'MESH_IDENTITY_EXPIRED')
    }
    assert.equal((await load([root], long, short)).notAfter.getTime(), ends)
  })

  it('costs a bounded number of signatures, though a chain names its issuers in a circle', () => {
    // CAs of one name and one key: each has issued each other, and none leads to a root
    const circle = Array.from({ length: 9 }, () =>
      mint({ name: 'root', pathLength: null, key: root }),
    )
    let verified = 0
    const counted = circle.map(({ certificate }) => {
      const verify = certificate.verify.bind(certificate)
      certificate.verify = (key) => {
        verified += 1
        return verify(key)
      }
      return certificate
    })
    const own = mint({ issuer: root, uris: [PLANNER] }).certificate
    const anchors = [stranger]
    assert.equal(findPath({ leaf: own, between: counted, anchors, nowMs: null }), null)
    assert.ok(verified <= 64, String(verified))
  })
})

function wholeSecond(fromNowMs: number): Date {
  return new Date(Math.floor((Date.now() + fromNowMs) / 1000) * 1000)
}

function linkFingerprint({ fingerprint }: { readonly fingerprint: string }): string {
  return fingerprint
}

function good(verdict: Verdict): PeerCertificate {
  if (verdict instanceof Error) throw verdict
  return verdict
}

function codeOf(verdict: Verdict): string {
  return verdict instanceof MeshError ? verdict.code : String(verdict)
}
