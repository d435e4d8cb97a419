import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  realpath,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Ca, writeIdentity } from '@clawmesh/pki'
import { makeCa, makeScratch, type Scratch } from '../scratch.ts'

const WRITER = fileURLToPath(new URL('./endless-writer.ts', import.meta.url))

describe('writeIdentity', () => {
  let scratch: Scratch
  let ca: Ca
  before(async () => {
    scratch = await makeScratch()
    ca = await makeCa(scratch.path('ca'))
  })
  after(() => scratch.remove())

  const issue = (agent = 'planner') => ca.issueAgent({ tenant: 'acme', agent })

  /** Reads as a reader must: `..data` resolved once. The fingerprint, if key and certificate fit. */
  async function readPair(dir: string): Promise<string> {
    const generation = await realpath(join(dir, '..data'))
    const certificate = new X509Certificate(await readFile(join(generation, 'tls.crt')))
    const key = createPrivateKey(await readFile(join(generation, 'tls.key')))
    assert.ok(certificate.checkPrivateKey(key), 'key and certificate of one generation')
    return certificate.fingerprint256.replaceAll(':', '').toLowerCase()
  }

  it('makes the directory, links as Kubernetes does, and a key that its owner alone can read', async () => {
    const dir = scratch.path('deep', 'down', 'planner')
    const issued = issue()
    await writeIdentity(dir, issued)
    assert.equal(await readlink(join(dir, 'tls.key')), '..data/tls.key')
    assert.match(await readlink(join(dir, '..data')), /^\.\.\d{4}_\d\d_\d\d_/)
    assert.equal((await stat(dir)).mode & 0o777, 0o700)
    assert.equal((await stat(join(dir, 'tls.key'))).mode & 0o777, 0o600)
    assert.equal((await stat(join(dir, 'tls.crt'))).mode & 0o777, 0o644)
    assert.equal(await readFile(join(dir, 'tls.crt'), 'utf8'), issued.certificateChain)
    assert.equal(await readFile(join(dir, 'ca.crt'), 'utf8'), issued.roots)
    assert.equal(await readPair(dir), issued.fingerprint)
  })

  const generationsOf = async (dir: string) =>
    (await readdir(dir)).filter((name) => /^\.\.\d{4}/.test(name)).sort()

  /** As if everything there had been written an hour ago. */
  async function age(dir: string): Promise<void> {
    const then = new Date(Date.now() - 3_600_000)
    for (const name of await generationsOf(dir)) await utimes(join(dir, name), then, then)
  }

  it('keeps the generation before, for readers in the middle of it, and no older one', async () => {
    const dir = scratch.path('many')
    for (let round = 0; round < 5; round++) {
      const before = round === 0 ? null : await realpath(join(dir, '..data'))
      await writeIdentity(dir, issue())
      if (before !== null) assert.ok((await readdir(before)).includes('tls.key'))
      await age(dir)
    }
    assert.equal((await generationsOf(dir)).length, 2)
    assert.equal((await readdir(dir)).length, 6)
  })

  it('shows a reader in a loop only certificates and keys that fit', async () => {
    const dir = scratch.path('read')
    await writeIdentity(dir, issue())
    const writing = { done: false }
    const seen = new Set<string>()
    const reader = (async () => {
      while (!writing.done) seen.add(await readPair(dir))
    })()
    const last = await (async () => {
      for (let round = 0; round < 40; round++) await writeIdentity(dir, issue())
      return readPair(dir)
    })().finally(() => {
      writing.done = true
    })
    await reader
    assert.ok(seen.size > 5)
    assert.equal(await readPair(dir), last)
  })

  it('leaves the old or the new generation when it is killed, and goes on from there', async function () {
    this.timeout(120_000)
    const dir = scratch.path('killed')
    await writeIdentity(dir, issue())
    for (const ms of [0, 5, 15]) {
      const writer = spawn(process.execPath, [WRITER, scratch.path('ca'), dir], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const ended = once(writer, 'exit')
      await once(writer.stdout, 'data')
      await setTimeout(ms)
      writer.kill('SIGKILL')
      await ended
      await readPair(dir)
    }
    const issued = issue()
    await writeIdentity(dir, issue())
    await age(dir)
    await writeIdentity(dir, issued)
    assert.equal(await readPair(dir), issued.fingerprint)
    assert.equal((await generationsOf(dir)).length, 2, 'what crashes left is cleared away')
  })

  it('replaces plain files of another tool without a moment in which they do not fit', async () => {
    const dir = scratch.path('plain')
    await mkdir(dir)
    const old = issue()
    await writeFile(join(dir, 'tls.crt'), old.certificateChain)
    await writeFile(join(dir, 'tls.key'), old.privateKey.reveal())
    const issued = issue()
    await writeIdentity(dir, issued)
    assert.ok((await lstat(join(dir, 'tls.crt'))).isSymbolicLink())
    assert.equal(await readPair(dir), issued.fingerprint)
    // the generation before holds the pair that was there
    const [first = ''] = await generationsOf(dir)
    assert.equal(await readFile(join(dir, first, 'tls.crt'), 'utf8'), old.certificateChain)
  })

  it('says where, when it cannot write', async () => {
    const dir = scratch.path('file-in-the-way')
    await writeFile(dir, '')
    await assert.rejects(writeIdentity(dir, issue()), {
      code: 'MESH_DISK_WRITE',
      message: /file-in-the-way/,
    })
    await rm(dir)
  })

  it('lets those enter a generation who may enter the directory', async () => {
    const dir = scratch.path('shared')
    await mkdir(dir)
    await chmod(dir, 0o750)
    await writeIdentity(dir, issue())
    assert.equal((await stat(await realpath(join(dir, '..data')))).mode & 0o777, 0o750)
    assert.equal((await stat(join(dir, 'tls.key'))).mode & 0o777, 0o600)
  })

  it('stands several writers at once', async () => {
    const dir = scratch.path('several')
    const issued = Array.from({ length: 6 }, () => issue())
    await Promise.all(issued.map((each) => writeIdentity(dir, each)))
    await Promise.all(issued.map((each) => writeIdentity(dir, each)))
    const fingerprint = await readPair(dir)
    assert.ok(issued.some((each) => each.fingerprint === fingerprint))
  })
})
