import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { cp, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import {
  initCa,
  inspectPath,
  openCa,
  type RenewIntermediateOptions,
  readCaInfo,
  renewIntermediate,
  revoke,
  verifyPath,
  type WritableIdentity,
  writeIdentity,
} from '@clawmesh/pki'
import { makeCa, makeScratch, PASSPHRASE, type Scratch } from '../scratch.ts'

const RENEWER = fileURLToPath(new URL('./endless-renewer.ts', import.meta.url))
const DAY_MS = 86_400_000
const PLANNER = { tenant: 'acme', agent: 'planner' }

describe('renewIntermediate', () => {
  let scratch: Scratch
  let made = 0
  before(async () => {
    scratch = await makeScratch()
  })
  after(() => scratch.remove())

  async function newCa() {
    made += 1
    const dir = scratch.path(`ca-${made}`)
    return { dir, ca: await makeCa(dir) }
  }
  const renew = (dir: string, more: Partial<RenewIntermediateOptions> = {}) =>
    renewIntermediate({ dir, passphrase: PASSPHRASE, keyIterations: 1_000, ...more })
  const open = (dir: string) => openCa({ dir, passphrase: PASSPHRASE })

  /** Judged as a new reader of the directory does, against this root. */
  async function isGood(identity: WritableIdentity, root: string): Promise<boolean> {
    made += 1
    const path = scratch.path(`identity-${made}`)
    await writeIdentity(path, identity)
    await writeFile(`${path}.root`, root)
    return (await verifyPath({ path, caFile: `${path}.root` })).ok
  }

  it('keeps the key, the name and what is permitted, and what was issued before stays good', async () => {
    const dir = scratch.path('kept')
    await initCa({
      dir,
      trustDomain: 'mesh.internal',
      meshDomain: 'svc.cluster.local',
      permitDnsDomains: ['lb.example.com'],
      permitIpRanges: ['10.0.0.0/8'],
      constrainUris: true,
      intermediateDays: 1,
      passphrase: PASSPHRASE,
      keyIterations: 1_000,
    })
    const before = await open(dir)
    const old = before.issueAgent(PLANNER)
    const info = await renew(dir, { days: 30 })
    const after = await open(dir)
    assert.deepEqual(after.info, info)
    const [one, other] = [before, after].map(({ info: { intermediate } }) => intermediate.pem)
    const [was, is] = [new X509Certificate(one ?? ''), new X509Certificate(other ?? '')]
    assert.notEqual(was.fingerprint256, is.fingerprint256)
    assert.equal(was.subject, is.subject)
    assert.ok(was.publicKey.equals(is.publicKey))
    assert.ok(Math.abs(is.validToDate.getTime() - Date.now() - 30 * DAY_MS) < 600_000)
    const [now] = (await inspectPath(dir)).certificates
    assert.deepEqual(now?.permits, [
      'DNS svc.cluster.local',
      'DNS lb.example.com',
      'URI mesh.internal',
      'IP 10.0.0.0/255.0.0.0',
    ])
    const root = info.root.pem
    for (const issued of [old, after.issueAgent(PLANNER)]) assert.ok(await isGood(issued, root))
  })

  it('changes what is permitted when it is told to', async () => {
    const { dir } = await newCa()
    const more = { permitDnsDomains: ['lb.example.com'], permitIpRanges: ['127.0.0.0/8'] }
    await renew(dir, { ...more, constrainUris: true })
    const permits = async () => (await inspectPath(dir)).certificates[0]?.permits
    assert.deepEqual(await permits(), [
      'DNS mesh.internal',
      'DNS lb.example.com',
      'URI mesh.internal',
      'IP 127.0.0.0/255.0.0.0',
    ])
    await renew(dir, { ...more, constrainUris: false })
    assert.deepEqual(await permits(), [
      'DNS mesh.internal',
      'DNS lb.example.com',
      'IP 127.0.0.0/255.0.0.0',
    ])
    const ca = await open(dir)
    ca.issueAgent({ ...PLANNER, extraDnsNames: ['x.lb.example.com'], ipAddresses: ['127.0.0.1'] })
    await assert.rejects(renew(dir, { permitIpRanges: ['10.0.0.1/8'] }), TypeError)
    await assert.rejects(renew(dir, { permitDnsDomains: ['*.a'] }), TypeError)
    await assert.rejects(renew(dir, { days: 0 }), TypeError)
  })

  it('never lets it outlive the root, and renews one that has ended, but not under a root that has', async () => {
    const dir = scratch.path('short')
    const life = { rootDays: 2, intermediateDays: 1, keyIterations: 1_000 }
    await initCa({ dir, trustDomain: 'mesh.internal', passphrase: PASSPHRASE, ...life })
    const later = (days: number) => ({ now: () => Date.now() + days * DAY_MS })
    const { root, intermediate } = await renew(dir, later(1.5))
    assert.equal(intermediate.notAfter.getTime(), root.notAfter.getTime())
    for (const days of [2.5, -1])
      await assert.rejects(renew(dir, later(days)), {
        code: 'MESH_PKI_INVALID',
        message: /^the root of the CA is good from/,
      })
  })

  it('with a new key has a new name, and lists of both until the one before has ended', async () => {
    const { dir, ca: before } = await newCa()
    const [old, bad] = [before.issueAgent(PLANNER), before.issueAgent(PLANNER)]
    await renew(dir, { newKey: true, days: 730 })
    const after = await open(dir)
    assert.notEqual(subjectOf(before.info.intermediate.pem), subjectOf(after.info.intermediate.pem))
    const next = after.issueAgent(PLANNER)
    const root = after.info.root.pem
    for (const issued of [old, next]) assert.ok(await isGood(issued, root))
    await revoke({ dir, target: { serial: serialOf(bad.certificateChain) } })
    const crl = await after.crl()
    assert.equal(crl.pem.match(/BEGIN X509 CRL/g)?.length, 3)
    for (const { intermediate } of [before.info, after.info])
      assert.ok(crl.pem.includes(intermediate.pem))
    assert.deepEqual(crl.serials, [serialOf(bad.certificateChain)])
    const then = await openCa({
      dir,
      passphrase: PASSPHRASE,
      now: () => Date.now() + 400 * DAY_MS,
    })
    assert.equal((await then.crl()).pem.match(/BEGIN X509 CRL/g)?.length, 2)
  })

  it('needs the key of the root, wherever it is', async () => {
    const { dir } = await newCa()
    const { dir: other } = await newCa()
    const away = scratch.path('away.key')
    await rename(`${dir}/root.key`, away)
    await assert.rejects(renew(dir), { code: 'MESH_PKI_INVALID', hint: /--root-key FILE/ })
    await assert.rejects(renew(dir, { rootKeyFile: `${other}/root.key` }), {
      code: 'MESH_PKI_INVALID',
      message: /is not the key of root\.crt/,
    })
    await assert.rejects(renew(dir, { rootKeyFile: scratch.path('nowhere') }), {
      code: 'MESH_PKI_INVALID',
    })
    const before = await readCaInfo(dir)
    const after = await renew(dir, { rootKeyFile: away })
    assert.notEqual(before.intermediate.fingerprint, after.intermediate.fingerprint)
  })

  it('gives a revoked one a new key only, which issues again', async () => {
    const { dir, ca } = await newCa()
    await revoke({ dir, target: { path: `${dir}/intermediate.crt` }, reason: 'keyCompromise' })
    const hint = { code: 'MESH_PKI_INVALID', hint: /--new-key/ }
    await assert.rejects(renew(dir), hint)
    const revoked = await open(dir)
    assert.throws(() => revoked.issueAgent(PLANNER), hint)
    const serial = serialOf(ca.info.intermediate.pem)
    assert.deepEqual((await revoked.crl()).serials, [serial])
    await renew(dir, { newKey: true })
    const after = await open(dir)
    assert.ok(await isGood(after.issueAgent(PLANNER), after.info.root.pem))
    assert.deepEqual((await after.crl()).serials, [serial])
  })

  it('is whole at each point at which it can be killed', async () => {
    const { dir } = await newCa()
    const before = scratch.path('before')
    await cp(dir, before, { recursive: true })
    const old = await readCaInfo(before)
    await renew(dir, { newKey: true })
    const next = await readCaInfo(dir)
    const staged = ['intermediate.key', 'intermediate.crt']
    // what a renewal writes, in its order; each row is what has been done when it is killed
    const states: readonly (readonly [done: readonly string[], is: string])[] = [
      [['root.crl', 'crl.json'], 'old'],
      [['root.crl', 'former'], 'old'],
      [['root.crl', 'former', 'intermediate.key.next'], 'old'],
      [['root.crl', 'former', 'intermediate.key.next', 'intermediate.crt.next'], 'old'],
      [['former', 'intermediate.key.next', 'intermediate.crt.next', 'ca.json'], 'new'],
      [['former', 'intermediate.key', 'intermediate.crt.next', 'ca.json'], 'new'],
      [['former', 'intermediate.key', 'intermediate.crt', 'ca.json'], 'new'],
    ]
    for (const [index, [done, is]] of states.entries()) {
      const killed = scratch.path(`killed-${index}`)
      await cp(before, killed, { recursive: true })
      for (const name of done)
        await cp(`${dir}/${name.replace('.next', '')}`, `${killed}/${name}`, { recursive: true })
      const expected = is === 'old' ? old : next
      const ca = await open(killed)
      assert.equal(
        ca.info.intermediate.fingerprint,
        expected.intermediate.fingerprint,
        String(index),
      )
      assert.ok(await isGood(ca.issueAgent(PLANNER), expected.root.pem))
      await ca.crl()
      const again = await renew(killed, index % 2 === 0 ? { newKey: true } : {})
      const after = await open(killed)
      assert.equal(after.info.intermediate.fingerprint, again.intermediate.fingerprint)
      assert.ok(await isGood(after.issueAgent(PLANNER), expected.root.pem))
      const names = await readdir(killed)
      assert.deepEqual(
        names.filter((name) => staged.some((one) => name === `${one}.next`)),
        [],
      )
    }
  })

  it('half written, is not in use', async () => {
    const { dir, ca } = await newCa()
    await writeFile(`${dir}/intermediate.crt.next`, ca.info.intermediate.pem.slice(0, 200))
    await writeFile(`${dir}/intermediate.key.next`, '')
    assert.deepEqual((await open(dir)).info, ca.info)
    await renew(dir)
  })

  it('leaves a CA that works when it is killed at any moment', async function () {
    this.timeout(120_000)
    const { dir, ca } = await newCa()
    const old = ca.issueAgent(PLANNER)
    for (let round = 0; round < 5; round += 1) {
      const child = spawn(process.execPath, [RENEWER, dir], {
        env: { ...process.env, PASSPHRASE: PASSPHRASE.reveal() },
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      await once(child.stdout, 'data')
      await delay(Math.random() * 40)
      child.kill('SIGKILL')
      await once(child, 'close')
      const killed = await open(dir)
      assert.ok(await isGood(killed.issueAgent(PLANNER), ca.info.root.pem))
      await killed.crl()
    }
    await renew(dir)
    assert.ok(await isGood(old, ca.info.root.pem))
  })

  it('goes one at a time, and nobody who issues meanwhile is told of a torn CA', async () => {
    const { dir, ca } = await newCa()
    const renewed = Promise.all(
      Array.from({ length: 4 }, (_, index) => renew(dir, { newKey: index % 2 === 0 })),
    )
    let ended = false
    const end = renewed.finally(() => {
      ended = true
    })
    while (!ended) (await open(dir)).issueAgent(PLANNER)
    const fingerprints = (await end).map(({ intermediate }) => intermediate.fingerprint)
    assert.equal(new Set(fingerprints).size, 4)
    const after = await open(dir)
    assert.ok(fingerprints.includes(after.info.intermediate.fingerprint))
    // two new keys: the first of all and one of the four, beside that in use
    assert.equal((await after.crl()).pem.match(/BEGIN X509 CRL/g)?.length, 4)
    assert.ok(await isGood(after.issueAgent(PLANNER), ca.info.root.pem))
  })

  it('says what is in its way, and changes nothing', async () => {
    const { dir, ca } = await newCa()
    await mkdir(`${dir}/intermediate.crt.next`)
    await assert.rejects(renew(dir), { code: 'MESH_PKI_INVALID' })
    await rm(`${dir}/intermediate.crt.next`, { recursive: true })
    assert.deepEqual((await open(dir)).info, ca.info)
  })
})

function subjectOf(pem: string): string {
  return new X509Certificate(pem).subject
}

function serialOf(pem: string): string {
  return new X509Certificate(pem).serialNumber.toLowerCase()
}
