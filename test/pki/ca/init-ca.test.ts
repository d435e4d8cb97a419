import assert from 'node:assert/strict'
import { createPrivateKey } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import {
  chmod,
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  stat,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { initCa, openCa, readCaInfo } from '@clawmesh/pki'
import { Secret } from '@clawmesh/proto'
import { writeCaFiles } from '../../../pki/src/ca/ca-files.ts'
import { integer, oid } from '../../../pki/src/der/write.ts'
import { makeScratch, PASSPHRASE, type Scratch } from '../scratch.ts'

const YEAR_MS = 365 * 86_400_000
/** Where the strength of the passphrase is not what is tested: its rounds are most of what making a CA costs. */
const QUICK = { trustDomain: 'mesh.internal', passphrase: PASSPHRASE, keyIterations: 1_000 }

describe('initCa', () => {
  let scratch: Scratch
  before(async () => {
    scratch = await makeScratch()
    await initCa({ dir: scratch.path('ca'), trustDomain: 'mesh.internal', passphrase: PASSPHRASE })
  })
  after(() => scratch.remove())

  it('makes a root of ten years and an intermediate of one', async () => {
    const { root, intermediate } = await readCaInfo(scratch.path('ca'))
    const lives = [root, intermediate].map(
      ({ notBefore, notAfter }) => (notAfter.getTime() - notBefore.getTime() - 60_000) / YEAR_MS,
    )
    assert.deepEqual(lives, [10, 1])
  })

  it('leaves nothing in the way of a second attempt when the disk is full in the middle of it', async () => {
    const dir = scratch.path('full')
    const probe = await open(scratch.path('probe'), 'w')
    const proto: FileHandle = Object.getPrototypeOf(probe)
    await probe.close()
    const { sync } = proto
    const full = async () => {
      throw Object.assign(new Error('the disk is full'), { code: 'ENOSPC' })
    }
    try {
      for (const failing of [0, 2]) {
        let files = 0
        proto.sync = function (this: FileHandle) {
          files += 1
          return files > failing ? full() : sync.call(this)
        }
        await assert.rejects(initCa({ dir, ...QUICK }), { code: 'MESH_DISK_WRITE' })
        assert.deepEqual(await readdir(dir), [])
      }
    } finally {
      proto.sync = sync
    }
    await initCa({ dir, ...QUICK })
  })

  it('lets nobody else read it', async () => {
    const dir = scratch.path('ca')
    assert.equal((await stat(dir)).mode & 0o777, 0o700)
    for (const name of await readdir(dir))
      assert.equal((await stat(scratch.path('ca', name))).mode & 0o777, 0o600, name)
  })

  it('encrypts both keys under 600,000 rounds of PBKDF2, as OpenSSL reads them', async () => {
    for (const name of ['root.key', 'intermediate.key']) {
      const key = await readFile(scratch.path('ca', name), 'utf8')
      const der = Buffer.from(key.split('-----\n')[1] ?? '', 'base64')
      const parts = {
        PBKDF2: oid('1.2.840.113549.1.5.12'),
        rounds: integer(600_000),
        hmacWithSHA256: oid('1.2.840.113549.2.9'),
        'aes-256-cbc': oid('2.16.840.1.101.3.4.1.42'),
      }
      for (const [what, bytes] of Object.entries(parts)) assert.ok(der.includes(bytes), what)
      // Node reads keys with OpenSSL
      const opened = createPrivateKey({ key, passphrase: PASSPHRASE.reveal() })
      assert.equal(opened.asymmetricKeyDetails?.namedCurve, 'prime256v1')
      assert.throws(() => createPrivateKey({ key, passphrase: 'another one' }))
      assert.throws(() => createPrivateKey(key))
    }
  })

  it('derives with fewer rounds for a passphrase that is random', async () => {
    const dir = scratch.path('random')
    await initCa({
      ...{ dir, trustDomain: 'mesh.internal', passphrase: PASSPHRASE },
      keyIterations: 1_000,
    })
    // INTEGER 1000, as RFC 8018 puts it into the file
    const [, body = ''] = (await readFile(join(dir, 'root.key'), 'utf8')).split('-----\n')
    assert.ok(Buffer.from(body, 'base64').includes(Buffer.from([0x02, 0x02, 0x03, 0xe8])))
    await openCa({ dir, passphrase: PASSPHRASE })
  })

  it('never overwrites: not a CA, not a stray file', async () => {
    await mkdir(scratch.path('taken'))
    await writeFile(scratch.path('taken', 'notes.txt'), 'mine')
    await writeFile(scratch.path('file'), 'mine')
    const before = await readFile(scratch.path('ca', 'root.key'), 'utf8')
    for (const name of ['ca', 'taken', 'file'])
      await assert.rejects(
        initCa({ dir: scratch.path(name), ...QUICK }),
        { code: 'MESH_PKI_EXISTS' },
        name,
      )
    assert.equal(await readFile(scratch.path('ca', 'root.key'), 'utf8'), before)
    assert.deepEqual(await readdir(scratch.path('taken')), ['notes.txt'])
  })

  it('lets one of several that run at once win, and leaves its CA whole', async () => {
    const dir = scratch.path('race')
    const runs = await Promise.allSettled(
      Array.from({ length: 4 }, () => initCa({ dir, ...QUICK })),
    )
    const won = runs.filter(({ status }) => status === 'fulfilled')
    assert.equal(won.length, 1)
    await openCa({ dir, passphrase: PASSPHRASE })
  })

  it('takes back what it has written when it cannot go on, and nothing of anybody else', async () => {
    const dir = scratch.path('broken')
    const theirs = join(dir, 'intermediate.crt')
    const names = { trustDomain: 'a.test', meshDomain: 'a.test' }
    const manifest = { version: 1, ...names, root: '1', intermediate: '2' } as const
    const files = {
      ...{ 'root.crt': '1', 'root.key': '1', 'intermediate.key': '2', 'root.crl': '1' },
      // read when its turn has come: by then another has written it
      get 'intermediate.crt'() {
        writeFileSync(theirs, 'theirs')
        return '2'
      },
    }
    await assert.rejects(writeCaFiles(dir, files, manifest), { code: 'MESH_PKI_EXISTS' })
    assert.deepEqual(await readdir(dir), ['intermediate.crt'])
    assert.equal(await readFile(theirs, 'utf8'), 'theirs')
  })

  it('uses an empty directory that is there, and closes it to others', async () => {
    const dir = scratch.path('empty')
    await mkdir(dir)
    await chmod(dir, 0o755)
    await initCa({ dir, ...QUICK })
    assert.equal((await stat(dir)).mode & 0o777, 0o700)
  })

  it('refuses a short passphrase before it makes anything', async () => {
    const dir = scratch.path('short')
    const passphrase = new Secret('elevenchars')
    await assert.rejects(initCa({ dir, trustDomain: 'mesh.internal', passphrase }), {
      code: 'MESH_PKI_PASSPHRASE',
    })
    await assert.rejects(stat(dir), { code: 'ENOENT' })
  })

  it('throws TypeError for options that make no CA', async () => {
    const dir = scratch.path('never')
    const good = { dir, trustDomain: 'mesh.internal', passphrase: PASSPHRASE }
    for (const wrong of [
      { trustDomain: 'Mesh.Internal' },
      { trustDomain: 'mesh.internal/tenant' },
      { meshDomain: '' },
      { rootDays: 0 },
      { intermediateDays: Number.NaN },
      { permitIpRanges: ['10.0.0.1/8'] },
      { permitDnsDomains: ['*.example.com'] },
      { dir: '' },
      { keyIterations: 999 },
      { keyIterations: 1_000.5 },
    ])
      await assert.rejects(initCa({ ...good, ...wrong }), TypeError, JSON.stringify(wrong))
  })

  it('never gives an intermediate a longer life than its root', async () => {
    const { root, intermediate } = await initCa({
      ...{ dir: scratch.path('brief'), ...QUICK, rootDays: 10 },
    })
    assert.deepEqual(intermediate.notAfter, root.notAfter)
  })
})
