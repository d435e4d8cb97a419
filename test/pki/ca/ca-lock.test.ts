import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MeshError } from '@clawmesh/proto'
import { withLock } from '@clawmesh/proto/lock'
import { withCaLock } from '../../../pki/src/ca/ca-lock.ts'

describe('a change of a CA', function () {
  this.timeout(60_000)
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-ca-lock-'))
  })
  after(() => rm(dir, { recursive: true }))

  it('waits longer than a change takes, then names the process that has the CA and changes nothing', async () => {
    const waitedMs = await withLock(join(dir, 'ca.lock'), async () => {
      const fromMs = performance.now()
      await assert.rejects(
        withCaLock(dir, () => assert.fail('two changes at once')),
        (error: unknown) =>
          error instanceof MeshError &&
          error.code === 'MESH_DISK_WRITE' &&
          error.message === `another process holds ${join(dir, 'ca.lock')}` &&
          (process.platform !== 'linux' || error.hint.includes(`process ${process.pid} `)),
      )
      return performance.now() - fromMs
    })
    assert.ok(waitedMs >= 10_000, `${waitedMs} ms`)
    assert.deepEqual(await readdir(dir), ['ca.lock'])
    assert.equal(await withCaLock(dir, async () => 'free'), 'free')
  })
})
