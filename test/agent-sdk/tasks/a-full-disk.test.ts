import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const WORKER = fileURLToPath(new URL('../../support/full-disk-worker.ts', import.meta.url))
/** A user who is not root is root of the namespace alone. */
const ENTER = [...(process.geteuid?.() === 0 ? [] : ['-r']), '-m', 'sh', '-c']
const MOUNT = 'mount -t tmpfs -o size=4m none "$1"'

describe('an agent whose disk is full', () => {
  let dir: string
  before(async function () {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-full-'))
    try {
      execFileSync('unshare', [...ENTER, MOUNT, 'sh', dir], { stdio: 'pipe' })
    } catch (cause) {
      if (process.env.CI === 'true') throw new Error('CI has to let tests mount a disk', { cause })
      process.stderr.write('skipped: this machine mounts no disk for a test (unshare -m)\n')
      this.skip()
    }
  })
  after(() => rm(dir, { recursive: true, force: true }))

  it('takes no tasks, says so in its health, and goes on by itself when there is room again', async () => {
    const { stdout } = await promisify(execFile)(
      'unshare',
      [...ENTER, `${MOUNT} && exec "$2" "$3" "$1"`, 'sh', dir, process.execPath, WORKER],
      { timeout: 60_000 },
    )
    assert.deepEqual(JSON.parse(stdout), {
      before: 'SERVING',
      whileFull: 'NOT_SERVING',
      after: 'SERVING',
      refused: 50_000,
      resumed: 'x again',
      interrupted: 'MESH_TASK_INTERRUPTED',
      new: 'z',
    })
  }).timeout(90_000)
})
