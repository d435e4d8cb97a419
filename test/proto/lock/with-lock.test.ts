import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { pbkdf2 } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { MeshError } from '@clawmesh/proto'
import { withLock } from '@clawmesh/proto/lock'

const HOLDER = fileURLToPath(new URL('./lock-holder.ts', import.meta.url))

describe('a lock file', function () {
  this.timeout(240_000)
  let dir: string
  let lock: string
  const children = new Set<ChildProcess>()
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-lock-'))
    lock = join(dir, 'a.lock')
    await writeFile(join(dir, 'count'), '0')
  })
  afterEach(async () => {
    for (const child of children) {
      child.kill('SIGKILL')
      await once(child, 'close')
    }
    await rm(dir, { recursive: true })
  })

  /** How it ended: a signal, or what it said. */
  function start(...args: string[]) {
    const child = spawn(process.execPath, [HOLDER, args[0] ?? '', dir, ...args.slice(1)], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    children.add(child)
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data: Buffer) => {
        said += data
      })
    const ended = once(child, 'close').then(() => {
      children.delete(child)
      return child.signalCode ?? said
    })
    return { child, ended }
  }
  async function holder() {
    const { child, ended } = start('hold')
    await once(child.stdout ?? child, 'data')
    return { child, ended }
  }
  const refused = (check: (error: MeshError) => boolean) => (error: unknown) =>
    error instanceof MeshError &&
    error.code === 'MESH_DISK_WRITE' &&
    error.message.includes(lock) &&
    check(error)

  it('lets one in at a time, of many in one process', async () => {
    let inside = 0
    let most = 0
    await Promise.all(
      Array.from({ length: 14 }, async (_, i) => {
        for (let wait = 0; wait < i; wait += 1) await turn()
        await withLock(lock, async () => {
          inside += 1
          most = Math.max(most, inside)
          await turn()
          inside -= 1
        })
      }),
    )
    assert.equal(most, 1)
  })

  it('keeps other processes out while another call of this one has yet to finish making the file', async () => {
    // the threads are busy: what makes the file and does not come to its end at once, ends when somebody else is in
    const busy = () =>
      Promise.all(
        Array.from({ length: 64 }, () => promisify(pbkdf2)('a', 'b', 20_000, 32, 'sha256')),
      )
    const toOthers = () => {
      const take = `new (require('node:sqlite').DatabaseSync)(process.argv[1]).exec('BEGIN EXCLUSIVE')`
      const { status, stderr } = spawnSync(process.execPath, ['-e', take, lock])
      return status === 0 ? 'free' : /database is locked/.test(`${stderr}`) ? 'taken' : `${stderr}`
    }
    const seen: string[] = []
    const begun = Promise.withResolvers<unknown>()
    const enter = async () => {
      await begun.promise
      for (let wait = 0; wait < 20; wait += 1) await turn()
      seen.push(toOthers())
    }
    const both = [withLock(lock, enter), withLock(lock, enter)]
    begun.resolve(busy())
    await Promise.all(both)
    assert.deepEqual(seen, ['taken', 'taken'])
    assert.equal(toOthers(), 'free')
  })

  it('is an empty file that stays, for its owner alone, and nothing stays beside it', async () => {
    await withLock(lock, async () => {
      assert.deepEqual((await readdir(dir)).toSorted(), ['a.lock', 'count'])
    })
    const { size, mode } = await stat(lock)
    assert.deepEqual([size, mode & 0o777], [0, 0o600])
    assert.deepEqual((await readdir(dir)).toSorted(), ['a.lock', 'count'])
  })

  it('is free at whatever step a process was killed that took it, worked, or gave it back', async () => {
    let said = ''
    let at = 0
    while (said !== 'done\n') {
      at += 1
      assert.ok(at < 60, 'it comes to an end')
      said = await start('once', `${at}`).ended
      assert.ok(said === 'SIGKILL' || said === 'done\n', said)
      // at once: there is nothing that has to become old first
      await withLock(lock, async () => {
        assert.match(await readFile(join(dir, 'count'), 'utf8'), /^\d+$/)
      })
    }
    assert.ok(at > 12, 'each call was a step')
  })

  it('keeps one at a time while its holders are killed at random', async () => {
    let kills = 0
    const others: Promise<unknown>[] = []
    const one = async () => {
      while (kills < 40 || (await changes()) < 40) {
        const { child, ended } = start('loop')
        // somewhere after its first entries: others die while it waits, or while it works
        const goal = (await entries()) + Math.floor(Math.random() * 12)
        while ((await entries()) < goal && child.exitCode === null) await turn()
        child.kill('SIGKILL')
        assert.equal(await ended, 'SIGKILL')
        kills += 1
      }
    }
    for (let i = 0; i < 5; i += 1) others.push(one())
    await Promise.all(others)
    let last = ''
    let highest = 0
    for (const line of await ledger()) {
      const [pid = '', what, number] = line.split(' ')
      if (what === 'enter') last = pid
      else {
        assert.equal(pid, last, 'somebody came in before it had left')
        assert.ok(Number(number) > highest, 'what another had written was lost')
        highest = Number(number)
      }
    }
  })
  const ledger = async () =>
    (await readFile(join(dir, 'ledger'), 'utf8').catch(() => '')).split('\n').filter(Boolean)
  const entries = async () => (await ledger()).length
  const changes = async () => (await ledger()).filter((line) => line.includes(' wrote ')).length

  it('is not taken from a process that stands still, however long', async () => {
    const { child, ended } = await holder()
    child.kill('SIGSTOP')
    const longAgo = new Date(Date.now() - 3_600_000)
    await utimes(lock, longAgo, longAgo)
    await assert.rejects(
      withLock(lock, async () => {}),
      refused(({ hint }) => process.platform !== 'linux' || hint.includes(`process ${child.pid} `)),
    )
    child.kill('SIGKILL')
    await ended
    assert.equal(await withLock(lock, async () => 'done'), 'done')
  })

  it('may be one that an older version left behind', async () => {
    await writeFile(lock, '')
    assert.equal(await withLock(lock, async () => 'done'), 'done')
  })

  it('is given free when the work fails', async () => {
    await assert.rejects(
      withLock(lock, () => Promise.reject(new Error('the work failed'))),
      /the work failed/,
    )
    assert.equal(await withLock(lock, async () => 'done'), 'done')
  })

  it('is refused with what to do when it cannot be one, and is left as it is', async () => {
    await writeFile(lock, 'of somebody else')
    const never = () => assert.fail('without the lock')
    await assert.rejects(
      withLock(lock, never),
      refused(({ hint }) => /move it away/.test(hint)),
    )
    assert.equal(await readFile(lock, 'utf8'), 'of somebody else')
    await rm(lock)
    await mkdir(lock)
    await assert.rejects(
      withLock(lock, never),
      refused(() => true),
    )
    await assert.rejects(withLock(join(dir, 'missing', 'a.lock'), never), MeshError)
  })
})
