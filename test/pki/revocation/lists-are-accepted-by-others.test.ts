import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  type Ca,
  type Issued,
  type IssuedCrl,
  openCa,
  renewIntermediate,
  revoke,
  writeIdentity,
} from '@clawmesh/pki'
import { isOnPath, needProgram } from '../../support/need-program.ts'
import { judgeByHandshake } from '../judge-by-handshake.ts'
import { run } from '../run.ts'
import { makeCa, makeScratch, PASSPHRASE, type Scratch } from '../scratch.ts'

const GO_PROGRAM = fileURLToPath(new URL('./go-crl.go', import.meta.url))

describe('revocation lists of the CA', () => {
  let scratch: Scratch
  let ca: Ca
  let good: Issued
  let bad: Issued
  let crl: IssuedCrl
  const serialOf = (issued: Issued) =>
    new X509Certificate(issued.certificateChain).serialNumber.toLowerCase()

  before(async () => {
    scratch = await makeScratch()
    ca = await makeCa(scratch.path('ca'))
    good = ca.issueAgent({ tenant: 'acme', agent: 'planner' })
    bad = ca.issueAgent({ tenant: 'acme', agent: 'researcher' })
    await writeIdentity(scratch.path('bad'), bad)
    await revoke({
      dir: scratch.path('ca'),
      target: { path: scratch.path('bad') },
      reason: 'keyCompromise',
    })
    crl = await ca.crl()
    await writeFile(scratch.path('crl.pem'), crl.pem)
    await writeFile(scratch.path('crl.der'), crl.der)
    await writeFile(scratch.path('root.pem'), good.roots)
    await writeFile(scratch.path('intermediate.pem'), ca.info.intermediate.pem)
    await writeFile(scratch.path('good.pem'), good.certificateChain)
    await writeFile(scratch.path('bad.pem'), bad.certificateChain)
  })
  after(() => scratch.remove())

  it('are verified by openssl crl against the intermediate, in PEM and in DER', async function () {
    needProgram(this, 'openssl', 'version')
    for (const [file, form] of [
      ['crl.pem', 'PEM'],
      ['crl.der', 'DER'],
    ] as const) {
      const read = ['crl', '-in', scratch.path(file), '-inform', form, '-noout', '-text']
      const { code, stdout, stderr } = await run('openssl', [
        ...read,
        '-CAfile',
        scratch.path('intermediate.pem'),
      ])
      assert.equal(code, 0, stderr)
      assert.match(stderr, /verify OK/)
      assert.match(stdout, /Version 2/)
      assert.match(stdout, /Key Compromise/)
    }
  })

  it('make openssl verify -crl_check refuse what is revoked and accept the rest', async function () {
    needProgram(this, 'openssl', 'version')
    const verify = (name: string) =>
      run('openssl', [
        'verify',
        '-x509_strict',
        '-crl_check',
        ...['-CAfile', scratch.path('root.pem'), '-no-CApath', '-no-CAstore'],
        ...['-untrusted', scratch.path(name), '-CRLfile', scratch.path('crl.pem')],
        scratch.path(name),
      ])
    const accepted = await verify('good.pem')
    assert.equal(accepted.code, 0, accepted.stderr)
    const refused = await verify('bad.pem')
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /certificate revoked/)
  })

  it('let OpenSSL, in Node and by itself, judge the whole path, and refuse what a revoked intermediate issued', async () => {
    /** -crl_check_all: what it says, and at which depth, when the program says it. */
    const verify = async (issued: Issued, list: string) => {
      const said = await judgeByHandshake(issued, [list])
      if (!isOnPath('openssl')) return said === '' ? 'accepted' : said
      await writeFile(scratch.path('crl.pem'), list)
      await writeFile(scratch.path('judged.pem'), issued.certificateChain)
      const { code, stderr } = await run('openssl', [
        ...['verify', '-x509_strict', '-crl_check_all', '-CAfile', scratch.path('root.pem')],
        ...['-no-CApath', '-no-CAstore', '-CRLfile', scratch.path('crl.pem')],
        ...['-untrusted', scratch.path('judged.pem'), scratch.path('judged.pem')],
      ])
      // both are OpenSSL, and agree
      assert.equal(code === 0, said === '', `${said}\n${stderr}`)
      return code === 0 ? 'accepted' : stderr
    }
    const revokedAt = (depth: number) =>
      isOnPath('openssl')
        ? new RegExp(`error 23 at ${depth} depth lookup: certificate revoked`)
        : /^certificate revoked$/
    assert.equal(await verify(good, crl.pem), 'accepted')
    assert.match(await verify(bad, crl.pem), revokedAt(0))
    const dir = scratch.path('ca')
    const away = scratch.path('root.key')
    await rename(join(dir, 'root.key'), away)
    // without the key of the root, its list is the one that was kept
    const kept = await ca.crl()
    assert.equal(kept.rootListFault, null)
    assert.equal(await verify(good, kept.pem), 'accepted')
    await renewIntermediate({ dir, passphrase: PASSPHRASE, rootKeyFile: away, newKey: true })
    const renewed = await openCa({ dir, passphrase: PASSPHRASE })
    const next = renewed.issueAgent({ tenant: 'acme', agent: 'planner' })
    const after = await renewed.crl()
    for (const issued of [good, next]) assert.equal(await verify(issued, after.pem), 'accepted')
    assert.match(await verify(bad, after.pem), revokedAt(0))
    const { hasIntermediate } = await revoke({
      dir,
      target: { path: scratch.path('intermediate.pem') },
      reason: 'keyCompromise',
    })
    assert.ok(hasIntermediate)
    const behind = await renewed.crl()
    assert.match(
      String(behind.rootListFault),
      /does not say yet that the intermediate .* is revoked/,
    )
    const full = await renewed.crl({ rootKeyFile: away })
    assert.equal(full.rootListFault, null)
    assert.match(await verify(good, full.pem), revokedAt(1))
    assert.equal(await verify(next, full.pem), 'accepted')
  })

  it('are read and verified by Go', async function () {
    needProgram(this, 'go', 'version')
    this.timeout(240_000)
    const { code, stdout, stderr } = await run('go', ['run', GO_PROGRAM], {
      input: JSON.stringify({ crl: crl.pem, issuer: ca.info.intermediate.pem }),
      env: { GOTOOLCHAIN: 'local', GOFLAGS: '' },
    })
    assert.equal(code, 0, stderr)
    assert.deepEqual(JSON.parse(stdout), [`${serialOf(bad)} 1`])
  })

  it('are numbered ever higher, whatever the clock does', async () => {
    const next = await ca.crl({ ttlMs: 60_000 })
    assert.ok(next.number > crl.number)
    assert.ok(next.serials.includes(serialOf(bad)))
    const numbers = [next.number]
    const dir = scratch.path('ca')
    for (const backMs of [3_600_000, 60_000, 1, 0]) {
      const slow = await openCa({ dir, passphrase: PASSPHRASE, now: () => Date.now() - backMs })
      numbers.push((await slow.crl()).number)
    }
    assert.deepEqual(
      numbers,
      numbers.toSorted((one, other) => one - other),
    )
    assert.equal(new Set(numbers).size, numbers.length)
    // two at the same moment, and one whose file of the last number is lost
    const pair = await Promise.all([ca.crl(), ca.crl()])
    assert.equal(new Set(pair.map(({ number }) => number)).size, 2)
    await rm(join(dir, 'crl.json'))
    const last = Math.max(...pair.map(({ number }) => number))
    assert.ok((await ca.crl()).number > last)
  })
})
