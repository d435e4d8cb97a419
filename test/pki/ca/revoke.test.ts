import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { appendFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Ca, type Issued, openCa, revoke } from '@clawmesh/pki'
import { readRecords } from '../../../pki/src/disk/journal.ts'
import { readIssued } from '../../../pki/src/revocation/issued-records.ts'
import { makeCa, makeScratch, PASSPHRASE, type Scratch } from '../scratch.ts'

const ENDLESS = fileURLToPath(new URL('../revocation/endless-issuer.ts', import.meta.url))

describe('revoking', () => {
  let scratch: Scratch
  let dir: string
  let ca: Ca
  beforeEach(async () => {
    scratch = await makeScratch()
    dir = scratch.path('ca')
    ca = await makeCa(dir)
  })
  afterEach(() => scratch.remove())

  const serialOf = (issued: Issued) =>
    new X509Certificate(issued.certificateChain).serialNumber.toLowerCase()
  const listed = async () => (await ca.crl()).serials

  it('works by file, by serial number however it is written, and by SPIFFE ID', async () => {
    const [one, two, three, four] = [1, 2, 3, 4].map((n) =>
      ca.issueAgent({ tenant: 'acme', agent: n > 2 ? 'twin' : `agent-${n}` }),
    )
    assert.ok(one && two && three && four)
    await writeFile(scratch.path('one.crt'), one.certificateChain)
    await revoke({ dir, target: { path: scratch.path('one.crt') } })
    const colons = serialOf(two).toUpperCase().match(/../g)?.join(':') ?? ''
    await revoke({ dir, target: { serial: colons } })
    const twins = await revoke({ dir, target: { spiffeId: three.spiffeId } })
    assert.equal(twins.revoked.length, 2)
    assert.deepEqual([...(await listed())].sort(), [one, two, three, four].map(serialOf).sort())
  })

  it('keeps the first word on a certificate', async () => {
    const target = { serial: serialOf(ca.issueAgent({ tenant: 'acme', agent: 'planner' })) }
    await revoke({ dir, target, reason: 'keyCompromise' })
    const again = await revoke({ dir, target, reason: 'superseded' })
    assert.equal(again.revoked.length, 0)
    assert.equal(again.already[0]?.reason, 'keyCompromise')
  })

  it('refuses what the CA did not issue, and what it has no record of', async () => {
    const other = await makeCa(scratch.path('other'))
    const foreign = other.issueAgent({ tenant: 'acme', agent: 'planner' })
    await writeFile(scratch.path('foreign.crt'), foreign.certificateChain)
    const refused = (target: Parameters<typeof revoke>[0]['target'], code: string) =>
      assert.rejects(revoke({ dir, target }), { code })
    await refused({ path: scratch.path('foreign.crt') }, 'MESH_PKI_INVALID')
    await assert.rejects(revoke({ dir, target: { path: scratch.path('nothing.crt') } }), {
      code: 'MESH_PKI_NOT_FOUND',
      hint: 'name an identity directory or a PEM file, or give --serial or --spiffe-id',
    })
    await refused({ serial: serialOf(foreign) }, 'MESH_PKI_NOT_FOUND')
    await refused({ serial: 'not hexadecimal' }, 'MESH_PKI_NOT_FOUND')
    await refused({ spiffeId: foreign.spiffeId }, 'MESH_PKI_NOT_FOUND')
    assert.deepEqual(await listed(), [])
  })

  it('takes an intermediate by its file or serial number, never by the directory of the CA, and no root', async () => {
    const { intermediate, root } = ca.info
    await writeFile(scratch.path('root.crt'), root.pem)
    const refused = (path: string, hint: RegExp) =>
      assert.rejects(revoke({ dir, target: { path } }), { code: 'MESH_PKI_INVALID', hint })
    await refused(dir, /name the file: .*intermediate\.crt$/)
    await refused(scratch.path('root.crt'), /take it out of every ca\.crt/)
    const issued = ca.issueAgent({ tenant: 'acme', agent: 'planner' })
    const leaf = await revoke({ dir, target: { serial: serialOf(issued) } })
    assert.equal(leaf.hasIntermediate, false)
    const serial = new X509Certificate(intermediate.pem).serialNumber
    const first = await revoke({ dir, target: { serial }, reason: 'keyCompromise' })
    assert.equal(first.hasIntermediate, true)
    const again = await revoke({ dir, target: { path: join(dir, 'intermediate.crt') } })
    assert.deepEqual(again.already, first.revoked)
    assert.deepEqual([...(await listed())].sort(), [serialOf(issued), serial.toLowerCase()].sort())
  })

  it('goes on with records of a version that did not write down the issuer', async () => {
    const issued = ca.issueAgent({ tenant: 'acme', agent: 'planner' })
    const { serial } = { serial: serialOf(issued) }
    const record = { serial, spiffeId: issued.spiffeId, reason: 'superseded' }
    await appendFile(join(dir, 'revoked.jsonl'), `\n${JSON.stringify(record)}\n`)
    assert.deepEqual(await listed(), [serial])
    const again = await revoke({ dir, target: { spiffeId: issued.spiffeId } })
    assert.equal(again.already[0]?.reason, 'superseded')
    // a CA of such a version has no list of its root before its key is at hand
    await rename(join(dir, 'root.key'), scratch.path('root.key'))
    await rm(join(dir, 'root.crl'))
    const without = await ca.crl()
    assert.equal(without.rootListFault, 'has never been signed')
    assert.equal(without.pem.match(/BEGIN X509 CRL/g)?.length, 1)
    const rootKeyFile = scratch.path('root.key')
    assert.equal((await ca.crl({ rootKeyFile })).pem.match(/BEGIN X509 CRL/g)?.length, 2)
  })

  it('is refused when the record of what was revoked has gone, and no list pardons for it', async () => {
    const [one, two] = [1, 2].map(() => ca.issueAgent({ tenant: 'acme', agent: 'planner' }))
    assert.ok(one && two)
    await revoke({ dir, target: { serial: serialOf(one) } })
    const record = join(dir, 'revoked.jsonl')
    await rename(record, scratch.path('kept'))
    const missing = { code: 'MESH_PKI_INVALID', message: /revoked\.jsonl is missing/ }
    await assert.rejects(revoke({ dir, target: { serial: serialOf(two) } }), missing)
    await assert.rejects(ca.crl(), missing)
    await rename(scratch.path('kept'), record)
    assert.deepEqual(await listed(), [serialOf(one)])
  })

  it('leaves a certificate in the list until a day after it has expired', async () => {
    const issued = ca.issueAgent({ tenant: 'acme', agent: 'planner', ttlMs: 60_000 })
    await revoke({ dir, target: { serial: serialOf(issued) } })
    const later = async (ms: number) => {
      const then = await openCa({ dir, passphrase: PASSPHRASE, now: () => Date.now() + ms })
      return (await then.crl()).serials.length
    }
    assert.equal(await later(3_600_000), 1)
    assert.equal(await later(26 * 3_600_000), 0)
  })

  it('forgets records of certificates that expired long ago, and no others', async () => {
    ca.issueAgent({ tenant: 'acme', agent: 'planner' })
    const [today] = await readdir(join(dir, 'issued'))
    assert.ok(today)
    await writeFile(join(dir, 'issued', '2020-01-01.jsonl'), '{}\n')
    await ca.crl()
    assert.deepEqual(await readdir(join(dir, 'issued')), [today])
  })

  it('issues nothing that cannot be recorded', async () => {
    await rm(join(dir, 'issued'), { recursive: true, force: true })
    await writeFile(join(dir, 'issued'), 'in the way')
    assert.throws(() => ca.issueAgent({ tenant: 'acme', agent: 'planner' }), {
      code: 'MESH_DISK_WRITE',
    })
  })

  it('reads past a record that was torn, and writes on after it', async () => {
    const file = scratch.path('records.jsonl')
    await appendFile(file, '\n{"serial":"01"}\n\n{"seri')
    const issued = ca.issueAgent({ tenant: 'acme', agent: 'planner' })
    const [day] = await readdir(join(dir, 'issued'))
    await appendFile(join(dir, 'issued', day ?? ''), '\n{"serial":"aa')
    const after = ca.issueAgent({ tenant: 'acme', agent: 'planner' })
    const serials = (await readIssued(dir, Date.now())).map((one) => one.serial)
    assert.deepEqual(serials, [issued, after].map(serialOf))
    assert.equal((await readRecords(file)).length, 1)
  })

  it('knows every certificate that was handed out before kill -9', async function () {
    this.timeout(60_000)
    const child = spawn(process.execPath, [ENDLESS, dir], {
      env: { ...process.env, PASSPHRASE: PASSPHRASE.reveal() },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let text = ''
    child.stdout.setEncoding('utf8')
    child.stdout.on('data', (chunk: string) => {
      text += chunk
      if (text.length > 2_000 && !child.killed) child.kill('SIGKILL')
    })
    await once(child, 'close')
    const handedOut = text.split('\n').slice(0, -1)
    assert.ok(handedOut.length > 10)
    const known = new Set((await readIssued(dir, Date.now())).map((one) => one.serial))
    assert.deepEqual(
      handedOut.filter((serial) => !known.has(serial)),
      [],
    )
  })
})
