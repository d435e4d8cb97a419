import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { MeshError } from '@clawmesh/proto'
import { withLock } from '../../../mesh-gateway/src/config/with-lock.ts'

describe('a lock file', function () {
  this.timeout(40_000)
  let dir: string
  let lock: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-lock-'))
    lock = join(dir, 'a.lock')
  })
  afterEach(() => rm(dir, { recursive: true }))

  const leaveBehind = async () => {
    await writeFile(lock, '')
    const longAgo = new Date(Date.now() - 60_000)
    await utimes(lock, longAgo, longAgo)
  }

  it('lets one in at a time, also when many find the lock of one that died', async () => {
    for (let round = 0; round < 20; round += 1) {
      await leaveBehind()
      let inside = 0
      let most = 0
      await Promise.all(
        Array.from({ length: 14 }, async (_, i) => {
          // one after another, so that some find the old lock while others take the new one
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
      assert.deepEqual(await readdir(dir), [])
    }
  })

  it('is left alone when it is another one by the end', async () => {
    await withLock(lock, async () => {
      await rm(lock)
      await writeFile(lock, 'of somebody else')
    })
    assert.equal((await stat(lock)).size, 16)
  })

  it('is opened again when the work fails', async () => {
    await assert.rejects(
      withLock(lock, () => Promise.reject(new Error('the work failed'))),
      /the work failed/,
    )
    assert.equal(await withLock(lock, async () => 'done'), 'done')
  })

  it('is waited for, and named when it is not given free', async () => {
    await writeFile(lock, '')
    await assert.rejects(
      withLock(lock, async () => {}),
      (error) =>
        error instanceof MeshError &&
        error.code === 'MESH_DISK_WRITE' &&
        error.message.includes(lock),
    )
  })
})
