/**
 * One process at a time changes a CA: under a lock that the kernel keeps, on an empty file in its directory. A process that
 * dies has given it free, so nothing is ever stale. SQLite, because Node has no other way to a lock of the kernel:
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

/** The lock file stays: removed while another has it, it would be two locks. @throws MeshError MESH_DISK_WRITE */
export async function withLock<T>(lockFile: string, work: () => Promise<T>): Promise<T> {
  ensureFile(lockFile)
  const deadline = performance.now() + WAIT_MS
  let held = take(lockFile)
  while (held === null) {
    if (performance.now() > deadline)
      throw new MeshError('MESH_DISK_WRITE', `another process holds ${lockFile}`, {
        hint: 'try again when no other mesh-pki command changes this CA, on other machines too',
      })
    // never in step: two that take it at the same instant may both be told that it is taken
    await delay(RETRY_MS * (0.5 + Math.random()))
    held = take(lockFile)
  }
  try {
    return await work()
  } finally {
    held.close()
  }
}

/** At one go, and only when it is not there: closing the file gives up the locks that this process has on it (POSIX). */
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
    // no journal beside it, and nothing in it
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
