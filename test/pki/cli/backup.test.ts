import assert from 'node:assert/strict'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { copyFile, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import {
  type Ca,
  openCa,
  readCaInfo,
  renewIntermediate,
  revoke,
  writeIdentity,
} from '@clawmesh/pki'
import { Secret } from '@clawmesh/proto'
import { saveArchive, writeArchive } from '@clawmesh/proto/backup'
import { snapshotCa } from '../../../pki/src/ca/backup-ca.ts'
import { toPem } from '../../../pki/src/der/pem.ts'
import { listsIn } from '../../../pki/src/revocation/read-list.ts'
import { readRevoked } from '../../../pki/src/revocation/revoked-records.ts'
import { distinguishedName } from '../../../pki/src/x509/certificate.ts'
import { signCrl } from '../../../pki/src/x509/crl.ts'
import { meshPki } from '../run.ts'
import { meshPkiHere } from '../run-here.ts'
import { makeCa, makeScratch, PASSPHRASE, type Scratch } from '../scratch.ts'

const DAY_MS = 24 * 3_600_000
const PASS = ['--passphrase-file', 'archive-pass']

describe('mesh-pki backup', () => {
  let scratch: Scratch
  let ca: Ca
  beforeEach(async () => {
    scratch = await makeScratch()
    ca = await makeCa(scratch.path('ca'))
    await writeFile(scratch.path('archive-pass'), 'a passphrase of the archive\n')
  })
  afterEach(() => scratch.remove())

  const run = (...args: string[]) => meshPkiHere(['backup', ...args], { cwd: scratch.dir })
  /** As the command does, at less cost of guessing the passphrase, which is not what is tested. */
  const create = async () => {
    const { sources, made, close } = await snapshotCa(scratch.path('ca'), false)
    const passphrase = new Secret('a passphrase of the archive')
    const facts = { kind: 'ca', version: '0.1.0', made: made.toISOString() } as const
    const archive = writeArchive({ facts, sources, passphrase, workFactor: 4 })
    await saveArchive(archive, scratch.path('ca.age'))
    await close()
  }
  const restore = (to: string, ...more: string[]) =>
    run('restore', 'ca.age', '--dir', to, ...PASS, ...more)
  const planner = { tenant: 'acme', agent: 'planner' }
  const issue = (agent: string) => {
    const { serialNumber } = new X509Certificate(
      ca.issueAgent({ tenant: 'acme', agent }).certificateChain,
    )
    return serialNumber.toLowerCase()
  }
  const open = (to: string, nowMs = Date.now()) =>
    openCa({ dir: scratch.path(to), passphrase: PASSPHRASE, now: () => nowMs })
  const revokeIn = (dir: string, serial: string) =>
    revoke({ dir: scratch.path(dir), target: { serial } })

  it('brings a CA back on an empty machine: it issues, and revokes what it issued before', async () => {
    const [first, second] = [issue('planner'), issue('writer')]
    await revokeIn('ca', first)
    await ca.crl()
    await renewIntermediate({
      dir: scratch.path('ca'),
      passphrase: PASSPHRASE,
      newKey: true,
      keyIterations: 1_000,
    })
    await create()
    const info = await readCaInfo(scratch.path('ca'))
    await rm(scratch.path('ca'), { recursive: true })
    const ran = await restore('ca')
    assert.equal(ran.code, 0, ran.stderr)
    assert.match(ran.stderr, /what it issued and revoked later is not in its records/)
    assert.deepEqual(await readCaInfo(scratch.path('ca')), info)
    const restored = await open('ca')
    assert.equal(restored.issueAgent(planner).roots, info.root.pem)
    assert.deepEqual((await restored.crl()).serials, [first])
    await revokeIn('ca', second)
    assert.deepEqual((await restored.crl()).serials.toSorted(), [first, second].toSorted())
    assert.equal((await stat(scratch.path('ca'))).mode & 0o777, 0o700)
    assert.equal((await stat(scratch.path('ca', 'intermediate.key'))).mode & 0o777, 0o600)
  })

  it('numbers its lists above all that it signed after the backup, by a clock that was fast too', async () => {
    const nowMs = Date.now()
    await create()
    await copyFile(scratch.path('ca.age'), scratch.path('first.age'))
    const later: number[] = []
    for (const aheadMs of [0, 0, 20 * DAY_MS, 0])
      later.push((await (await open('ca', nowMs + aheadMs)).crl()).number)
    await rm(scratch.path('ca'), { recursive: true })
    assert.equal((await restore('ca')).code, 0)
    const after = (await (await open('ca', nowMs)).crl()).number
    assert.ok(after > Math.max(...later), `${after} after ${later}`)
    // a backup of the restored CA, restored in its turn
    await create()
    const more = (await (await open('ca', nowMs)).crl()).number
    await rm(scratch.path('ca'), { recursive: true })
    assert.equal((await restore('ca')).code, 0)
    const again = (await (await open('ca', nowMs)).crl()).number
    assert.ok(again > more, `${again} after ${more}`)
    // the root's list has its number too
    const list = await readFile(scratch.path('ca', 'root.crl'), 'utf8')
    assert.ok(listsIn(list).every(({ number }) => number <= again))
  })

  it('goes on from the number of a list that is published, and of the CA that it replaces', async () => {
    await create()
    const far = Date.now() + 200 * DAY_MS
    const { number, pem } = await (await open('ca', far)).crl()
    await writeFile(scratch.path('crl.pem'), pem)
    assert.equal((await restore('elsewhere', '--crl', 'crl.pem')).code, 0)
    assert.ok((await (await open('elsewhere')).crl()).number > number)
    assert.equal((await restore('ca', '--force')).code, 0)
    assert.ok((await (await open('ca')).crl()).number > number)
  })

  it('takes no list for its own whose number leaves none above it', async () => {
    await create()
    for (const number of [2 ** 53 - 1, 2 ** 63, 2 ** 150]) {
      await writeFile(scratch.path('crl.pem'), listOfNumber(number))
      const { code, stderr } = await restore('elsewhere', '--crl', 'crl.pem')
      assert.equal(code, 1, String(number))
      assert.match(stderr, /\d\S* is the number of no revocation list of this CA/)
      await assert.rejects(stat(scratch.path('elsewhere')), { code: 'ENOENT' })
    }
  })

  it('is refused when it would let in again what is revoked now, and says what', async () => {
    const [early, late] = [issue('early'), issue('late')]
    await revokeIn('ca', early)
    await create()
    await revokeIn('ca', late)
    await writeFile(scratch.path('crl.pem'), (await (await open('ca')).crl()).pem)

    const overIt = await restore('ca')
    assert.equal(overIt.code, 1)
    assert.match(overIt.stderr, /would replace what is in/)
    assert.match(overIt.stderr, /would let in again what is revoked now: .*agent\/late/)
    assert.doesNotMatch(overIt.stderr, /agent\/early/)
    assert.match(overIt.stderr, /hint: .*--force/)

    const elsewhere = await restore('elsewhere', '--crl', 'crl.pem')
    assert.equal(elsewhere.code, 1)
    assert.match(elsewhere.stderr, new RegExp(`revoked now: ${late}`))

    assert.equal((await restore('kept', '--crl', 'crl.pem', '--keep-revocations')).code, 0)
    const kept = await open('kept')
    assert.deepEqual((await kept.crl()).serials.toSorted(), [early, late].toSorted())

    assert.equal((await restore('ca', '--force', '--keep-revocations')).code, 0)
    assert.deepEqual(
      [...(await readRevoked(scratch.path('ca'))).keys()].sort(),
      [early, late].sort(),
    )
    await rm(scratch.path('kept'), { recursive: true })
    assert.equal((await restore('kept', '--force')).code, 0)
    assert.deepEqual([...(await readRevoked(scratch.path('kept'))).keys()], [early])
  })

  it('compares with a broken CA what can be read of it', async () => {
    const late = issue('late')
    await create()
    await revokeIn('ca', late)
    await rm(scratch.path('ca', 'intermediate.crt'))
    const { code, stderr } = await restore('ca')
    assert.equal(code, 1)
    assert.match(stderr, /revoked now: .*agent\/late/)
    assert.equal((await restore('ca', '--force', '--keep-revocations')).code, 0)
    assert.deepEqual((await (await open('ca')).crl()).serials, [late])
  })

  it('is refused over another CA', async () => {
    await create()
    await makeCa(scratch.path('other'))
    const { code, stderr } = await restore('other')
    assert.equal(code, 1)
    assert.match(stderr, /would replace another CA, of the root [0-9a-f]{64}/)
  })

  it('is verified without being restored', async () => {
    issue('planner')
    await create()
    const { code, stdout } = await run('verify', 'ca.age', ...PASS, '--json')
    assert.equal(code, 0)
    assert.match(stdout, /"name": "intermediate\.key",\s+"sha256": "[0-9a-f]{64}"/)
    const bytes = await readFile(scratch.path('ca.age'))
    bytes[bytes.length - 100] = (bytes[bytes.length - 100] ?? 0) ^ 1
    await writeFile(scratch.path('ca.age'), bytes)
    const altered = await run('verify', 'ca.age', ...PASS)
    assert.equal(altered.code, 1)
    assert.match(altered.stderr, /cut off or altered/)
  })

  it('may leave the key of the root out', async () => {
    const ran = await run('create', '--dir', 'ca', '--out', 'ca.age', ...PASS, '--without-root-key')
    assert.equal(ran.code, 0, ran.stderr)
    assert.equal((await restore('elsewhere')).code, 0)
    await assert.rejects(stat(scratch.path('elsewhere', 'root.key')), { code: 'ENOENT' })
    ;(await open('elsewhere')).issueAgent(planner)
  })

  it('takes the passphrase from a file or a descriptor, a whole one', async () => {
    const out = ['--dir', 'ca', '--out', 'x.age']
    const none = await run('create', ...out)
    assert.match(none.stderr, /passphrase of the archive is missing/)
    await writeFile(scratch.path('short'), 'short\n')
    const short = await run('create', ...out, '--passphrase-file', 'short')
    assert.match(short.stderr, /shorter than 12/)
    await writeFile(scratch.path('two'), 'a passphrase of the archive\nand more\n')
    const two = await run('create', ...out, '--passphrase-file', 'two')
    assert.match(two.stderr, /more than one line/)
    await assert.rejects(stat(scratch.path('x.age')), { code: 'ENOENT' })
    const fromStdin = await meshPki(['backup', 'create', ...out, '--passphrase-fd', '0'], {
      input: 'a passphrase of the archive\n',
      cwd: scratch.dir,
    })
    assert.equal(fromStdin.code, 0, fromStdin.stderr)
    assert.equal((await run('verify', 'x.age', ...PASS)).code, 0)
    const wrong = await run('verify', 'x.age', '--passphrase-file', 'short')
    assert.match(wrong.stderr, /does not open the archive/)
  })

  it('says where there is no CA, and leaves no lock file there', async () => {
    await mkdir(scratch.path('empty'))
    const { code, stderr } = await run('create', '--dir', 'empty', '--out', 'x.age', ...PASS)
    assert.equal(code, 1)
    assert.match(stderr, /there is no CA/)
    await assert.rejects(stat(scratch.path('empty', 'ca.lock')), { code: 'ENOENT' })
  })

  it('keeps the identities of agents good: they chain to the restored CA', async () => {
    await writeIdentity(scratch.path('planner'), ca.issueAgent(planner))
    await create()
    assert.equal((await restore('elsewhere')).code, 0)
    const root = scratch.path('elsewhere', 'root.crt')
    const { code, stdout } = await meshPkiHere(['verify', scratch.path('planner'), '--ca', root])
    assert.equal(code, 0, stdout)
  })
})

/** An empty list, signed by anybody. */
function listOfNumber(number: number): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const name = distinguishedName([{ type: 'commonName', value: 'anybody' }])
  const now = new Date()
  const times = { thisUpdate: now, nextUpdate: new Date(now.getTime() + DAY_MS) }
  const der = signCrl(
    { number, ...times, entries: [] },
    { name, keyId: Buffer.alloc(20), privateKey },
  )
  return toPem('X509 CRL', der)
}
