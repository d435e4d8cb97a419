/**
 * Lets one process at a time change a CA: under a kernel lock, on an empty file in its directory. The kernel releases
 * the lock of a dead process, so there are no stale locks. SQLite, because Node has no other access to a kernel lock:
 * docs/decisions/locks-are-the-kernels.md
 */
import { closeSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { MeshError } from '@clawmesh/proto'
import { fileFault, hasErrorCode } from './file-fault.ts'

const WAIT_MS = 10_000
const RETRY_MS = 25
const SQLITE_BUSY = 5

/**
 * The lock file stays: removing it while another process holds it would make two locks. @throws MeshError
 * MESH_DISK_WRITE
 */
export async function withLock<T>(lockFile: string, work: () => Promise<T>): Promise<T> {
  ensureFile(lockFile)
  const deadline = performance.now() + WAIT_MS
  let held = take(lockFile)
  while (held === null) {
    if (performance.now() > deadline)
      throw new MeshError('MESH_DISK_WRITE', `another process holds ${lockFile}`, {
        hint: 'try again when no other mesh-pki command changes this CA, on other machines too',
      })
    // at random intervals: two processes that try at the same instant may both find it taken
    await delay(RETRY_MS * (0.5 + Math.random()))
    held = take(lockFile)
  }
  try {
    return await work()
  } finally {
    held.close()
  }
}

/** Synchronous, and only if it is missing: closing the file releases all locks of this process on it (POSIX). */
function ensureFile(lockFile: string): void {
  try {
    closeSync(openSync(lockFile, 'wx', 0o600))
  } catch (error) {
    if (!hasErrorCode(error, 'EEXIST')) throw fileFault('MESH_DISK_WRITE', lockFile, error)
  }
}

/** Null when another process has it. */
function take(lockFile: string): DatabaseSync | null {
  let database: DatabaseSync | null = null
  try {
    database = new DatabaseSync(lockFile, { timeout: 0 })
    // no journal beside the file, and no content
    database.exec('PRAGMA journal_mode = MEMORY')
    database.exec('BEGIN EXCLUSIVE')
    return database
  } catch (cause) {
    database?.close()
    const code = cause instanceof Error && 'errcode' in cause ? cause.errcode : null
    if (code === SQLITE_BUSY) return null
    throw new MeshError('MESH_DISK_WRITE', `cannot lock ${lockFile}`, {
      cause,
      hint: 'this user must be able to write it, on a file system that has locks',
    })
  }
}
