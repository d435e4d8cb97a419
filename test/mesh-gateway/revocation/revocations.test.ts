import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '@clawmesh/agent-sdk'
import {
  type IdentitySnapshot,
  loadIdentity,
  type PeerCertificate,
  parseCertificates,
} from '@clawmesh/agent-sdk/mesh'
import {
  type Issued,
  type IssuedCrl,
  initCa,
  openCa,
  renewIntermediate,
  revoke,
  writeIdentity,
} from '@clawmesh/pki'
import { Secret } from '@clawmesh/proto'
import type { NewEntry } from '../../../mesh-gateway/src/revocation/entry.ts'
import {
  addToList,
  beginList,
  removeFromList,
} from '../../../mesh-gateway/src/revocation/list-file.ts'
import {
  openRevocations,
  type RevocationsHandle,
  type RevocationsOptions,
} from '../../../mesh-gateway/src/revocation/revocations.ts'
import { makeTestCa, type TestCa } from '../../support/test-ca.ts'

const ID = 'spiffe://mesh.internal/tenant/acme/agent/planner'

describe('revocations', () => {
  let ca: TestCa
  let identity: IdentitySnapshot
  let peer: PeerCertificate
  let fresh: IssuedCrl
  let earlier: IssuedCrl
  const open: RevocationsHandle[] = []
  const warnings: string[] = []
  const path = (name: string) => join(ca.dir, name)

  before(async () => {
    ca = await makeTestCa()
    const dir = await ca.gatewayDir({ name: 'gw', tenants: ['acme'] })
    identity = await loadIdentity(dir, { spiffe: ca.spiffe })
    const issued = ca.ca.issueAgent({ tenant: 'acme', agent: 'planner' })
    const leaf = new X509Certificate(issued.certificateChain)
    const intermediate = new X509Certificate(ca.ca.info.intermediate.pem)
    const root = new X509Certificate(ca.ca.info.root.pem)
    peer = {
      identity: ca.spiffe.agent('acme', 'planner'),
      dnsNames: [],
      notBefore: leaf.validFromDate,
      notAfter: leaf.validToDate,
      fingerprint: issued.fingerprint,
      serial: leaf.serialNumber.toLowerCase(),
      rootFingerprint: identity.roots[0]?.fingerprint ?? '',
      anchor: identity.roots[0]?.anchor ?? '',
      links: [linkOf(leaf, intermediate), linkOf(intermediate, root)],
    }
    earlier = await ca.ca.crl()
    await revoke({ dir: path('ca'), target: { serial: peer.serial } })
    // a list says whole seconds: the next one is later
    const later = await openCa({
      dir: path('ca'),
      passphrase: new Secret('a passphrase for tests'),
      now: () => Date.now() + 2_000,
    })
    fresh = await later.crl()
  })
  after(() => ca.close())
  beforeEach(async () => {
    warnings.length = 0
    await beginList(path('list.json'), Date.now())
  })
  afterEach(async () => {
    await Promise.all(open.splice(0).map((one) => one.close()))
    for (const name of ['list.json', 'crl.pem']) await rm(path(name), { force: true })
  })

  const log: Log = {
    debug() {},
    info() {},
    warn: (_fields, message) => warnings.push(String(message)),
    error() {},
  }
  async function start(more: Partial<RevocationsOptions> = {}): Promise<RevocationsHandle> {
    const handle = await openRevocations({
      crl: null,
      list: null,
      stale: 'refuse',
      identity: { current: () => identity },
      log,
      metrics: { reload() {}, crlNextUpdate() {}, revocations() {} },
      pollMs: 20,
      ...more,
    })
    open.push(handle)
    return handle
  }
  const changed = (handle: RevocationsHandle) =>
    new Promise<void>((resolve) => handle.onChange(resolve))
  const entry = (kind: NewEntry['kind'], value: string, until: string | null = null) => ({
    kind,
    value,
    reason: null,
    since: new Date().toISOString(),
    until,
  })
  const add = (one: NewEntry) => addToList(path('list.json'), one, Date.now())

  it('know a certificate by fingerprint and serial number, and one above it; agents, trees, tokens', async () => {
    const handle = await start({ list: path('list.json') })
    assert.equal(handle.certificate(peer), null)
    const [leaf, intermediate] = peer.links
    assert.ok(leaf && intermediate)
    for (const value of [leaf.fingerprint, leaf.serial, intermediate.fingerprint]) {
      const seen = changed(handle)
      await add(entry('certificate', value))
      await seen
      assert.equal(handle.certificate(peer)?.code, 'MESH_IDENTITY_REVOKED')
      const undone = changed(handle)
      assert.ok(await removeFromList(path('list.json'), { kind: 'certificate', value }, Date.now()))
      await undone
      assert.equal(handle.certificate(peer), null)
    }
    for (const one of [entry('agent', ID), entry('txn', 'tree-1'), entry('token', 'jti-1')])
      await add(one)
    await handle.reload()
    assert.equal(handle.certificate(peer)?.what, 'agent')
    assert.equal(handle.agent(ID)?.code, 'MESH_IDENTITY_REVOKED')
    assert.equal(handle.chain('tree-1', [])?.code, 'MESH_CHAIN_REVOKED')
    assert.equal(handle.chain('tree-2', ['spiffe://x', ID])?.code, 'MESH_CHAIN_REVOKED')
    assert.equal(handle.chain('tree-2', ['spiffe://x']), null)
    assert.equal(handle.token('jti-1')?.code, 'MESH_TOKEN_REVOKED')
    assert.equal(handle.token('jti-2'), null)
  })

  it('end by themselves when they were for a time', async () => {
    // a clock that is set: on a busy machine the moment may be over before it has been looked at
    const untilMs = Date.now() + 3_600_000
    let nowMs = untilMs - 100
    const handle = await start({ list: path('list.json'), now: () => nowMs })
    const seen = changed(handle)
    await add(entry('agent', ID, new Date(untilMs).toISOString()))
    await seen
    assert.ok(handle.agent(ID))
    nowMs = untilMs
    await changed(handle)
    assert.equal(handle.agent(ID), null)
  })

  it('stay when the list is broken, and when it goes away', async () => {
    await add(entry('agent', ID))
    const handle = await start({ list: path('list.json') })
    for (const text of ['', '{', '[]', '{"revoked":[{"kind":"agent"}]}', '{"revoked":"all"}']) {
      await writeFile(path('list.json'), text)
      await handle.reload()
      assert.ok(handle.agent(ID), text)
    }
    await rm(path('list.json'))
    await handle.reload()
    assert.ok(handle.agent(ID))
    assert.ok(warnings.length >= 5 && warnings.every((line) => line.includes('last good one')))
  })

  it('take the list of a CA in PEM and in DER', async () => {
    for (const content of [fresh.pem, fresh.der]) {
      await writeFile(path('crl.pem'), content)
      const handle = await start({ crl: path('crl.pem') })
      assert.equal(handle.certificate(peer)?.message, 'the certificate has been revoked by its CA')
      assert.equal(handle.problem(), null)
    }
  })

  it('take the lists that mesh-pki makes when an intermediate is revoked, and refuse what it issued', async () => {
    const passphrase = new Secret('a passphrase for tests')
    const dir = path('revoked-ca')
    await initCa({ dir, trustDomain: 'mesh.internal', passphrase, keyIterations: 1_000 })
    const before = await openCa({ dir, passphrase })
    const planner = { tenant: 'acme', agent: 'planner' }
    const [gateway, old] = [
      before.issueGateway({ name: 'gw', tenants: [] }),
      before.issueAgent(planner),
    ]
    await writeIdentity(path('revoked-gw'), gateway)
    const gatewayIdentity = await loadIdentity(path('revoked-gw'), { spiffe: ca.spiffe })
    const judged = (issued: Issued) => {
      const root = new X509Certificate(issued.roots)
      const [leaf, intermediate] = parseCertificates(issued.certificateChain, 'tls.crt', 2)
      assert.ok(leaf && intermediate)
      const links = [linkOf(leaf, intermediate), linkOf(intermediate, root)]
      return { identity: ca.spiffe.agent('acme', 'planner'), links }
    }
    await writeFile(path('crl.pem'), (await before.crl()).pem)
    const handle = await start({
      crl: path('crl.pem'),
      identity: { current: () => gatewayIdentity },
    })
    assert.equal(handle.certificate(judged(old)), null)
    await revoke({ dir, target: { path: join(dir, 'intermediate.crt') }, reason: 'keyCompromise' })
    await renewIntermediate({ dir, passphrase, newKey: true, keyIterations: 1_000 })
    const after = await openCa({ dir, passphrase })
    await writeFile(path('crl.pem'), (await after.crl()).pem)
    await handle.reload()
    assert.equal(handle.certificate(judged(old))?.code, 'MESH_IDENTITY_REVOKED')
    assert.equal(handle.certificate(judged(after.issueAgent(planner))), null)
    assert.deepEqual(warnings, [])
  })

  it('keep the list in use when another is broken, older, or of a CA that nobody trusts', async () => {
    await writeFile(path('crl.pem'), fresh.pem)
    const handle = await start({ crl: path('crl.pem') })
    await initCa({
      dir: path('other'),
      trustDomain: 'mesh.internal',
      passphrase: new Secret('a passphrase for tests'),
    })
    const other = await openCa({
      dir: path('other'),
      passphrase: new Secret('a passphrase for tests'),
    })
    const foreign = (await other.crl()).pem
    for (const text of [
      '',
      'no list',
      fresh.pem.slice(0, 300),
      fresh.pem.replace(/[A-Za-z]{8}\n/, 'AAAAAAAA\n'),
      `${fresh.pem}-----BEGIN X509 CRL-----\n`,
      earlier.pem,
      foreign,
      fresh.pem + foreign,
      fresh.pem + fresh.pem,
    ]) {
      await writeFile(path('crl.pem'), text)
      await handle.reload()
      assert.ok(handle.certificate(peer), text.slice(0, 60))
    }
    await rm(path('crl.pem'))
    await handle.reload()
    assert.ok(handle.certificate(peer))
    assert.ok(warnings.length >= 8)
  })

  it('take a list from the future when its time has come, though the file stays as it is', async () => {
    await writeFile(path('crl.pem'), earlier.pem)
    let nowMs = Date.now()
    const handle = await start({ crl: path('crl.pem'), now: () => nowMs })
    const passphrase = new Secret('a passphrase for tests')
    const aheadMs = Date.now() + 2 * 3_600_000
    const ahead = await openCa({ dir: path('ca'), passphrase, now: () => aheadMs })
    await writeFile(path('crl.pem'), (await ahead.crl()).pem)
    assert.equal(handle.certificate(peer), null)
    await handle.reload()
    assert.equal(handle.certificate(peer), null)
    assert.ok(warnings.some((line) => line.includes('last good one')))
    const seen = changed(handle)
    nowMs = aheadMs
    await seen
    await handle.reload()
    assert.equal(handle.certificate(peer)?.message, 'the certificate has been revoked by its CA')
  })

  it('do not start without a list that is named, or with a broken one', async () => {
    const refused = { code: 'MESH_REVOCATION_INVALID' }
    await assert.rejects(start({ crl: path('crl.pem') }), refused)
    await writeFile(path('crl.pem'), fresh.pem.slice(0, 300))
    await assert.rejects(start({ crl: path('crl.pem') }), refused)
    for (const broken of ['{', '']) {
      await writeFile(path('list.json'), broken)
      await assert.rejects(start({ list: path('list.json') }), refused)
    }
    await rm(path('list.json'))
    await assert.rejects(start({ list: path('list.json') }), { code: 'MESH_REVOCATION_MISSING' })
  })

  it('refuse the certificates of a CA whose list is out of date, or keep it, as configured', async () => {
    await writeFile(path('crl.pem'), earlier.pem)
    let nowMs = Date.now()
    const now = () => nowMs
    const strict = await start({ crl: path('crl.pem'), now })
    const lenient = await start({ crl: path('crl.pem'), stale: 'keep', now })
    assert.equal(strict.certificate(peer), null)
    nowMs = earlier.nextUpdate.getTime() + 1
    // any change makes them look at the clock; by themselves they do so when the time has come
    const seen = Promise.all([changed(strict), changed(lenient)])
    await writeFile(path('crl.pem'), `${earlier.pem}\n`)
    await seen
    assert.equal(strict.certificate(peer)?.code, 'MESH_REVOCATION_STALE')
    assert.match(strict.problem() ?? '', /out of date/)
    assert.equal(lenient.certificate(peer), null)
    assert.equal(lenient.problem(), null)
    assert.ok(warnings.some((line) => line.includes('its certificates are refused')))
    // a new one in its place heals it
    const healed = changed(strict)
    const later = await openCa({
      dir: path('ca'),
      passphrase: new Secret('a passphrase for tests'),
      now,
    })
    await writeFile(path('crl.pem'), (await later.crl()).pem)
    await healed
    assert.notEqual(strict.certificate(peer)?.code, 'MESH_REVOCATION_STALE')
  })

  it('look at the clock when a list ends', async () => {
    await writeFile(path('crl.pem'), earlier.pem)
    // a clock that is set: one that runs may be past the end of a short list before it has been opened
    const endMs = Math.floor(earlier.nextUpdate.getTime() / 1000) * 1000
    let nowMs = endMs - 100
    const handle = await start({ crl: path('crl.pem'), now: () => nowMs })
    assert.equal(handle.problem(), null)
    nowMs = endMs
    await changed(handle)
    assert.match(handle.problem() ?? '', /out of date/)
  })

  it('never fall for two writers of the list at once', async () => {
    await Promise.all(Array.from({ length: 20 }, (_, n) => add(entry('token', `token-${n}`))))
    const handle = await start({ list: path('list.json') })
    for (let n = 0; n < 20; n += 1) assert.ok(handle.token(`token-${n}`), String(n))
  })
})

function linkOf(one: X509Certificate, issuer: X509Certificate) {
  return {
    fingerprint: one.fingerprint256.replaceAll(':', '').toLowerCase(),
    serial: one.serialNumber.toLowerCase(),
    issuerKey: createHash('sha256')
      .update(issuer.publicKey.export({ type: 'spki', format: 'der' }))
      .digest('hex'),
  }
}
