import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { cp, rm, writeFile } from 'node:fs/promises'
import { type Ca, initCa, inspectPath, verifyPath, writeIdentity } from '@clawmesh/pki'
import { refusedByHandshake } from '../../../pki/src/verify/handshake.ts'
import { type HandMade, stolenCa } from '../hand-made.ts'
import { makeCa, makeScratch, PASSPHRASE, type Scratch } from '../scratch.ts'

const DAY_MS = 86_400_000

describe('verifyPath', () => {
  let scratch: Scratch
  let ca: Ca
  before(async () => {
    scratch = await makeScratch()
    ca = await makeCa(scratch.path('ca'))
    await writeIdentity(
      scratch.path('planner'),
      ca.issueAgent({ tenant: 'acme', agent: 'planner' }),
    )
  })
  after(() => scratch.remove())

  async function faultsOf(path: string, options: { caFile?: string; now?: () => number } = {}) {
    const { ok, checks } = await verifyPath({ path, ...options })
    const failed = checks.filter((check) => !check.ok)
    assert.equal(ok, failed.length === 0)
    return failed.map(({ name, detail }) => `${name}: ${detail}`).join('\n')
  }

  it('accepts what the CA issued, by its checks and in a handshake', async () => {
    const { ok, spiffeId, checks } = await verifyPath({ path: scratch.path('planner') })
    assert.equal(ok, true)
    assert.equal(spiffeId, 'spiffe://mesh.internal/tenant/acme/agent/planner')
    assert.ok(checks.some(({ name }) => name === 'handshake'))
  })

  it('accepts a certificate file against a root, and the gateway with its wildcards', async () => {
    const root = scratch.path('ca', 'root.crt')
    assert.equal(await faultsOf(scratch.path('planner', 'tls.crt'), { caFile: root }), '')
    await writeIdentity(scratch.path('gw'), ca.issueGateway({ name: 'gw', tenants: ['acme'] }))
    assert.equal(await faultsOf(scratch.path('gw'), { caFile: root }), '')
  })

  it('says of another CA that it is not trusted', async () => {
    const caFile = scratch.path('other', 'root.crt')
    await makeCa(scratch.path('other'))
    assert.match(await faultsOf(scratch.path('planner'), { caFile }), /^chain: .*nor trusted$/)
  })

  it('says what has expired, and what is not valid yet', async () => {
    const path = scratch.path('planner')
    const late = () => Date.now() + 3 * DAY_MS
    const early = () => Date.now() - DAY_MS
    assert.match(
      await faultsOf(path, { now: late }),
      /^time: O=acme, CN=planner expired (?:2 days 0 h|1 day 23 h) ago/,
    )
    assert.match(await faultsOf(path, { now: early }), /^time: .*is not valid before/)
  })

  it('says that key and certificate do not fit, that a key is missing, or is none', async () => {
    const dir = scratch.path('mixed')
    await cp(scratch.path('planner'), dir, { recursive: true, verbatimSymlinks: true })
    const { privateKey } = ca.issueAgent({ tenant: 'acme', agent: 'planner' })
    await writeFile(scratch.path('mixed', 'tls.key'), privateKey.reveal())
    assert.match(await faultsOf(dir), /^key: tls\.key is not the key/)
    await writeFile(scratch.path('mixed', 'tls.key'), 'garbage')
    assert.match(await faultsOf(dir), /^key: tls\.key is not a private key/)
    await cp(scratch.path('ca', 'root.key'), scratch.path('mixed', '..data', 'tls.key'))
    assert.match(await faultsOf(dir), /^key: tls\.key is encrypted/)
    await rm(scratch.path('mixed', '..data', 'tls.key'))
    assert.match(await faultsOf(dir), /^key: tls\.key is missing/)
  })

  it('says that a chain lacks its intermediate', async () => {
    const { certificateChain } = ca.issueAgent({ tenant: 'acme', agent: 'planner' })
    const path = scratch.path('leaf.pem')
    await writeFile(path, certificateChain.split(/(?<=-----END CERTIFICATE-----\n)/)[0] ?? '')
    const caFile = scratch.path('ca', 'root.crt')
    assert.match(
      await faultsOf(path, { caFile }),
      /^chain: .*CN=planner was issued by .*intermediate/,
    )
  })

  it('agrees with OpenSSL on forgeries by a thief of the intermediate', async () => {
    const dir = scratch.path('uris')
    await initCa({ dir, trustDomain: 'mesh.internal', passphrase: PASSPHRASE, constrainUris: true })
    const thief = await stolenCa(dir)
    const forged: Record<string, [HandMade, RegExp]> = {
      dns: [
        thief.leaf({ dnsNames: ['www.example.com'] }),
        /^constraints: .*permit www\.example\.com/,
      ],
      uri: [thief.leaf({ uris: ['spiffe://other/x'] }), /^constraints: .*permit spiffe:/],
      ip: [
        thief.leaf({ ipAddresses: [Buffer.from([10, 0, 0, 1])] }),
        /^constraints: .*10\.0\.0\.1/,
      ],
      ip6: [thief.leaf({ ipAddresses: [Buffer.alloc(16, 1)] }), /^constraints: /],
      subCa: [thief.leafBelowAnotherCa(), /^constraints: .*0 CAs below/],
    }
    for (const [kind, [identity, words]] of Object.entries(forged)) {
      await writeIdentity(scratch.path(kind), identity)
      assert.match(await faultsOf(scratch.path(kind)), words, kind)
      const leaf = new X509Certificate(identity.certificateChain)
      const refusal = await refusedByHandshake({
        certificateChain: identity.certificateChain,
        privateKey: createPrivateKey(identity.privateKey.reveal()),
        roots: [identity.roots],
        fingerprint: leaf.fingerprint256.replaceAll(':', '').toLowerCase(),
      })
      assert.notEqual(refusal, null, kind)
    }
  })

  it('refuses a certificate of two URIs, of none, and of a CA', async () => {
    const thief = await stolenCa(scratch.path('ca'))
    const own = 'spiffe://mesh.internal/tenant/acme/agent/planner'
    await writeIdentity(scratch.path('two'), thief.leaf({ uris: [own, `${own}2`] }))
    await writeIdentity(
      scratch.path('none'),
      thief.leaf({ uris: [], dnsNames: ['a.mesh.internal'] }),
    )
    assert.match(await faultsOf(scratch.path('two')), /identity: it carries more than one URI/)
    assert.match(await faultsOf(scratch.path('none')), /identity: it carries no SPIFFE ID/)
    const caFile = scratch.path('ca', 'root.crt')
    const intermediate = scratch.path('ca', 'intermediate.crt')
    assert.match(await faultsOf(intermediate, { caFile }), /usage: it is the certificate of a CA/)
  })

  it('never trusts the public roots because ca.crt is empty', async () => {
    const caFile = scratch.path('empty.crt')
    await writeFile(caFile, '')
    const key = scratch.path('planner/tls.key')
    await assert.rejects(verifyPath({ path: scratch.path('planner'), caFile: key }), {
      message: `there is no certificate in ${key}`,
    })
    await assert.rejects(verifyPath({ path: scratch.path('planner'), caFile }), {
      code: 'MESH_PKI_INVALID',
    })
  })

  it('refuses what is cut short, and files that never end', async () => {
    const path = scratch.path('cut.pem')
    await writeFile(path, ca.info.root.pem.slice(0, 300))
    const caFile = scratch.path('ca', 'root.crt')
    for (const each of [path, '/dev/zero', scratch.dir, scratch.path('nowhere')])
      await assert.rejects(verifyPath({ path: each, caFile }), { code: 'MESH_PKI_INVALID' }, each)
  })
})

describe('inspectPath', () => {
  let scratch: Scratch
  let ca: Ca
  before(async () => {
    scratch = await makeScratch()
    ca = await makeCa(scratch.path('ca'))
  })
  after(() => scratch.remove())

  it('tells who, until when, by whom, and whether the key fits', async () => {
    const issued = ca.issueAgent({ tenant: 'acme', agent: 'planner', ttlMs: DAY_MS })
    await writeIdentity(scratch.path('planner'), issued)
    const nowMs = issued.notAfter.getTime() - 5000
    const { kind, certificates, key, roots } = await inspectPath(scratch.path('planner'), nowMs)
    const [leaf, intermediate] = certificates
    assert.equal(kind, 'identity')
    assert.equal(leaf?.spiffeId, issued.spiffeId)
    assert.equal(leaf?.fingerprint, issued.fingerprint)
    assert.deepEqual([leaf?.state, leaf?.remainingMs], ['valid', 5000])
    assert.deepEqual(intermediate?.permits, ['DNS mesh.internal'])
    assert.deepEqual(key, { keyType: 'EC P-256', encrypted: false, matchesCertificate: true })
    assert.equal(roots.length, 1)
  })

  it('shows a CA without its passphrase', async () => {
    const { kind, key } = await inspectPath(scratch.path('ca'))
    assert.deepEqual([kind, key?.encrypted], ['ca', true])
  })
})
