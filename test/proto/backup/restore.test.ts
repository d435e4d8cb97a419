import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import {
  inMemory,
  openArchive,
  type RestoreOptions,
  restoreTree,
  saveArchive,
  writeArchive,
} from '@clawmesh/proto/backup'
import { needProgram } from '../../support/need-program.ts'
import { bytes, forged, PASSPHRASE, WORK_FACTOR } from './forge-archive.ts'

const WORKER = fileURLToPath(new URL('restore-worker.ts', import.meta.url))
const FILES = Object.freeze({
  'ca.json': Buffer.from('{}\n'),
  'keys/a.pem': randomBytes(300_000),
  'keys/b.pem': randomBytes(70_000),
  'issued/deep/c.jsonl': randomBytes(10),
})

describe('a restore', () => {
  let dir = ''
  let archive = ''
  const path = (...names: string[]) => join(dir, ...names)
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-restore-'))
    archive = path('backup.age')
    await save(archive)
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  const save = (to: string, version = '0.1.0') =>
    saveArchive(
      writeArchive({
        facts: { kind: 'ca', version, made: '2026-11-30T00:00:00.000Z' },
        sources: Object.entries(FILES).map(([name, content]) => inMemory(name, content)),
        passphrase: PASSPHRASE,
        workFactor: WORK_FACTOR,
      }),
      to,
    )
  const restore = (more: Partial<RestoreOptions> = {}) =>
    restoreTree({
      input: openArchive(archive),
      passphrase: PASSPHRASE,
      kind: 'ca',
      version: '0.1.0',
      dir: path('target'),
      force: false,
      accepts: () => true,
      lastName: 'ca.json',
      prove: async () => [],
      ...more,
    })
  const tree = async (at: string) =>
    (await readdir(at, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(at.length + 1))
      .sort()
  const assertWhole = async (at: string) => {
    assert.deepEqual(await tree(at), Object.keys(FILES).sort())
    for (const [name, content] of Object.entries(FILES))
      assert.ok((await readFile(join(at, name))).equals(content), name)
  }

  it('makes the directory, for its owner alone, whatever the umask is', async () => {
    const before = process.umask(0)
    try {
      await restore()
    } finally {
      process.umask(before)
    }
    await assertWhole(path('target'))
    for (const name of ['', 'keys', 'issued', 'issued/deep'])
      assert.equal((await stat(path('target', name))).mode & 0o777, 0o700, name)
    for (const name of Object.keys(FILES))
      assert.equal((await stat(path('target', name))).mode & 0o777, 0o600, name)
    assert.deepEqual((await readdir(dir)).sort(), ['backup.age', 'target'])
  })

  it('fills an empty directory, and one to which a link leads', async () => {
    await mkdir(path('target'))
    await restore()
    await assertWhole(path('target'))
    await mkdir(path('real'))
    await symlink('real', path('link'))
    await restore({ dir: path('link') })
    await assertWhole(path('real'))
  })

  it('is refused where something is, and tells all that speaks against it', async () => {
    await mkdir(path('target'))
    await writeFile(path('target', 'mine'), 'x')
    const refused = restore({ prove: async () => ['would let in again a', 'would let in again b'] })
    await assert.rejects(refused, {
      code: 'MESH_BACKUP_REFUSED',
      message: /would replace what is in .*\n.*let in again a\n.*let in again b/,
    })
    assert.deepEqual(await readdir(path('target')), ['mine'])
    assert.deepEqual((await readdir(dir)).sort(), ['backup.age', 'target'])
    await writeFile(path('file'), 'x')
    await assert.rejects(restore({ dir: path('file'), force: true }), {
      code: 'MESH_BACKUP_REFUSED',
    })
  })

  it('moves aside what was there, when it is forced', async () => {
    await mkdir(path('target'))
    await writeFile(path('target', 'mine'), 'x')
    const { replaced } = await restore({ force: true })
    await assertWhole(path('target'))
    assert.deepEqual(await readdir(replaced ?? ''), ['mine'])
  })

  it('is refused when a newer version made the archive; an older one is as good', async () => {
    await save(archive, '0.2.0')
    await assert.rejects(restore(), {
      code: 'MESH_BACKUP_REFUSED',
      message: /made by version 0\.2/,
    })
    await restore({ force: true })
    await save(archive, '0.0.9')
    await restore({ dir: path('older') })
  })

  it('is refused for an archive of the other kind, and for files that it does not know', async () => {
    await assert.rejects(restore({ kind: 'gateway', force: true }), {
      code: 'MESH_BACKUP_INVALID',
      message: /backup of a CA/,
    })
    await assert.rejects(restore({ accepts: (name) => name !== 'keys/b.pem', force: true }), {
      code: 'MESH_BACKUP_INVALID',
      message: /keys\/b\.pem/,
    })
    await assert.rejects(
      restore({ input: bytes(await forged([{ name: '../up', content: 'x' }])), force: true }),
      { code: 'MESH_BACKUP_INVALID' },
    )
    assert.deepEqual(await readdir(dir), ['backup.age'])
  })

  it('changes nothing when the archive is damaged at its very end, or does not stand the proof', async () => {
    await mkdir(path('target'))
    await writeFile(path('target', 'mine'), 'x')
    const whole = await readFile(archive)
    for (const input of [bytes(whole.subarray(0, -1)), bytes(whole, 'x')])
      await assert.rejects(restore({ input, force: true }), { code: 'MESH_BACKUP_INVALID' })
    const prove = async () => {
      throw new TypeError('not usable')
    }
    await assert.rejects(restore({ prove, force: true }), { message: 'not usable' })
    assert.deepEqual(await readdir(path('target')), ['mine'])
    assert.deepEqual((await readdir(dir)).sort(), ['backup.age', 'target'])
  })

  const worker = (args: readonly string[]) =>
    spawn(process.execPath, [WORKER, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })

  it('that is killed leaves what was there, or all of the new; the next one clears its remains away', async () => {
    const kept = ['target', 'backup.age']
    for (let round = 0; round < 12; round += 1) {
      const child = worker([archive, path('target')])
      await once(child.stdout, 'data')
      const until = performance.now() + round * 4
      while (performance.now() < until) await new Promise(setImmediate)
      child.kill('SIGKILL')
      await once(child, 'exit')
      const names = await readdir(dir)
      if (names.includes('target')) {
        await assertWhole(path('target'))
        await rm(path('target'), { recursive: true })
      }
    }
    await restore()
    await assertWhole(path('target'))
    assert.deepEqual((await readdir(dir)).sort(), kept.toSorted())
  })

  it('on a full disk, or onto a volume of its own, changes nothing or is whole', function () {
    if (process.geteuid?.() !== 0 && process.env.CI !== 'true') {
      process.stderr.write('skipped: only root can mount a small disk\n')
      this.skip()
    }
    needProgram(this, 'unshare', '-m', 'true')
    const inside = (script: string) =>
      execFileSync(
        'unshare',
        ['-m', 'sh', '-ec', script, 'sh', path('disk'), process.execPath, WORKER, archive],
        { encoding: 'utf8' },
      )
    const script = (size: string, then: string) =>
      `mkdir -p "$1"; mount -t tmpfs -o size=${size} none "$1"; ${then}; ls -A "$1"; find "$1" -mindepth 2 -maxdepth 2 -printf '%f\\n' | sort`
    const full = inside(script('200k', '"$2" "$3" "$4" "$1/target"'))
    assert.match(full, /^begin\nMESH_DISK_WRITE cannot write .* \(ENOSPC\)\n\s*$/)
    const older = inside(
      script('200k', 'mkdir "$1/target"; touch "$1/target/mine"; "$2" "$3" "$4" "$1/target" force'),
    )
    assert.match(older, /ENOSPC\)\ntarget\nmine/)
    const mounted = inside(script('4m', 'mkdir "$1/lost+found"; "$2" "$3" "$4" "$1"'))
    assert.match(mounted, /^begin\ndone\nca\.json\nissued\nkeys\nlost\+found\n/)
    const again = inside(script('4m', 'touch "$1/mine"; "$2" "$3" "$4" "$1" force'))
    assert.match(again, /MESH_BACKUP_REFUSED .*cannot be replaced in one step\nmine\n/)
  })
})

describe('a written archive', () => {
  it('gets its name when it is complete: one that cannot be finished replaces nothing', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'clawmesh-archive-'))
    try {
      const out = join(dir, 'b.age')
      await writeFile(out, 'the one before')
      async function* broken() {
        yield Buffer.from('half')
        throw new Error('the source is gone')
      }
      await assert.rejects(saveArchive(broken(), out), { message: 'the source is gone' })
      assert.equal(await readFile(out, 'utf8'), 'the one before')
      assert.deepEqual(await readdir(dir), ['b.age'])
      await assert.rejects(saveArchive(broken(), join(dir, 'no', 'b.age')), {
        code: 'MESH_DISK_WRITE',
      })
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  })

  it('into a pipe whose reader goes away is a failure', async () => {
    const script = `
      import { saveArchive } from '@clawmesh/proto/backup'
      const endless = async function* () { for (;;) yield Buffer.alloc(65536) }
      try { await saveArchive(endless(), '-') } catch (error) { process.stderr.write(error.code + ' ' + error.message) }`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: fileURLToPath(new URL('../../..', import.meta.url)),
    })
    await once(child.stdout, 'data')
    child.stdout.destroy()
    assert.match(await text(child.stderr), /^MESH_DISK_WRITE .*standard output \(EPIPE\)/)
  })
})
