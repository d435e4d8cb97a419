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
  let own = await create(lockFile)
  while (own === null) {
    if (Date.now() > deadline)
      throw new MeshError('MESH_DISK_WRITE', `another process holds ${lockFile}`, {
        hint: `try again; if no other mesh-gateway command runs, remove ${lockFile}`,
      })
    if (!(await removeStale(lockFile))) await delay(25)
    own = await create(lockFile)
  }
  try {
    return await work()
  } finally {
    // not when it took so long that somebody else has the lock by now
    if ((await look(lockFile))?.id === own) await rm(lockFile, { force: true })
  }
}

/** What tells this file from any other that has had its name; null when there is one already. */
async function create(file: string): Promise<string | null> {
  try {
    const handle = await open(file, 'wx', 0o600)
    try {
      const { ino, mtimeNs } = await handle.stat({ bigint: true })
      return `${ino}-${mtimeNs}`
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return null
    throw diskError(file, error)
  }
}

/**
 * Several may find the same stale lock, and must not remove the one that the first of them takes next. A mark that is
 * named for this very lock says who may remove it; who gets the mark later finds another lock, and leaves it.
 */
async function removeStale(lockFile: string): Promise<boolean> {
  const found = await look(lockFile)
  if (found === null || Date.now() - found.mtimeMs <= STALE_MS) return false
  const mark = `${lockFile}.${found.id}`
  if ((await create(mark)) === null) return false
  try {
    if ((await look(lockFile))?.id !== found.id) return false
    await rm(lockFile, { force: true })
    return true
  } finally {
    await rm(mark, { force: true })
  }
}

async function look(file: string): Promise<{ id: string; mtimeMs: number } | null> {
  const found = await stat(file, { bigint: true }).catch(() => null)
  return found === null
    ? null
    : { id: `${found.ino}-${found.mtimeNs}`, mtimeMs: Number(found.mtimeMs) }
}
