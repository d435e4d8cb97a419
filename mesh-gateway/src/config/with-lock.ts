/** One process at a time: read, change and write of a file under a lock file beside it. */
import { open, rm, stat } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { MeshError } from '@clawmesh/proto'
import { diskError } from './write-atomic.ts'

const WAIT_MS = 5000
/** A lock older than this was left by a process that died. */
const STALE_MS = 30_000

/** @throws MeshError MESH_DISK_WRITE when the lock cannot be had. */
export async function withLock<T>(lockFile: string, work: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + WAIT_MS
  while (!(await tryLock(lockFile))) {
    if (Date.now() > deadline)
      throw new MeshError('MESH_DISK_WRITE', `another process holds ${lockFile}`, {
        hint: `try again; if no other mesh-gateway command runs, remove ${lockFile}`,
      })
    await delay(25)
  }
  try {
    return await work()
  } finally {
    await rm(lockFile, { force: true })
  }
}

async function tryLock(lockFile: string): Promise<boolean> {
  try {
    await (await open(lockFile, 'wx', 0o600)).close()
    return true
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST'))
      throw diskError(lockFile, error)
    const held = await stat(lockFile).catch(() => null)
    if (held !== null && Date.now() - held.mtimeMs > STALE_MS) await rm(lockFile, { force: true })
    return false
  }
}
