/**
 * Runs work in one process at a time: reading, changing and writing a file under a kernel lock, on an empty file beside
 * it. The kernel releases the lock of a dead process, so there are no stale locks.
 * docs/decisions/locks-are-the-kernels.md
 */
import { closeSync, openSync } from 'node:fs'
import { access, constants, readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { writeHint } from '../access-hint.ts'
import { errorCode } from '../error-code.ts'
import { MeshError } from '../mesh-error.ts'

const WAIT_MS = 5_000
const RETRY_MS = 25
const SQLITE_BUSY = 5
const SQLITE_NOTADB = 26

/**
 * The lock file stays: removing it while another process holds it would make two locks.
 * @param waitMs how long another process may hold it, in milliseconds. Default 5,000
 * @throws MeshError MESH_DISK_WRITE when the lock cannot be taken
 */
export async function withLock<T>(
  lockFile: string,
  work: () => Promise<T>,
  waitMs = WAIT_MS,
): Promise<T> {
  ensureFile(lockFile)
  const deadline = performance.now() + waitMs
  let held = take(lockFile)
  while (held === null) {
    if (performance.now() > deadline)
      throw new MeshError('MESH_DISK_WRITE', `another process holds ${lockFile}`, {
        hint: await whatToDo(lockFile),
      })
    // at random intervals: two processes that try at the same instant may both find it taken
    await delay(RETRY_MS * (0.5 + Math.random()))
    held = take(lockFile)
  }
  try {
    return await work()
  } finally {
    // nothing was written, and closing rolls back the empty transaction
    held.close()
  }
}

/** Without the lock where this user may not write, as on a read-only mount: no other command changes anything there. */
export async function withLockWhereWritable<T>(
  lockFile: string,
  work: () => Promise<T>,
): Promise<T> {
  const writable = await access(dirname(lockFile), constants.W_OK).then(
    () => true,
    () => false,
  )
  return writable ? withLock(lockFile, work) : work()
}

/**
 * Creates it only if it is missing: opening and closing a file releases all locks of this process on it (POSIX).
 * Synchronous for the same reason: another call could take the lock before the close.
 */
function ensureFile(lockFile: string): void {
  try {
    closeSync(openSync(lockFile, 'wx', 0o600))
  } catch (error) {
    const code = errorCode(error)
    if (code === 'EEXIST') return
    throw new MeshError('MESH_DISK_WRITE', `cannot write ${lockFile} (${code})`, {
      cause: error,
      ...writeHint(lockFile, error),
    })
  }
}

/**
 * SQLite, because Node has no other access to a kernel lock; an empty file is an empty database. Null when it is taken.
 */
function take(lockFile: string): DatabaseSync | null {
  let database: DatabaseSync | null = null
  try {
    database = new DatabaseSync(lockFile, { timeout: 0 })
    // no journal beside the file, and no content
    database.exec('PRAGMA journal_mode = MEMORY')
    database.exec('BEGIN EXCLUSIVE')
    return database
  } catch (error) {
    database?.close()
    const code = error instanceof Error && 'errcode' in error ? error.errcode : null
    if (code === SQLITE_BUSY) return null
    const hint =
      code === SQLITE_NOTADB
        ? 'a lock file is empty, and this one is something else: move it away'
        : 'the user that runs this must be able to write it, on a file system that has locks'
    throw new MeshError('MESH_DISK_WRITE', `cannot lock ${lockFile}`, { cause: error, hint })
  }
}

async function whatToDo(lockFile: string): Promise<string> {
  const pid = await holderOf(lockFile)
  return pid === null
    ? 'try again when no other command changes it, on other machines that share the directory too'
    : `try again, or see what process ${pid} waits for: when it ends, the lock is free`
}

/**
 * From /proc/locks of Linux (proc_locks(5)); null elsewhere, and for a process of another machine or container, which
 * has no number here.
 */
async function holderOf(lockFile: string): Promise<number | null> {
  try {
    const { ino } = await stat(lockFile)
    const lines = (await readFile('/proc/locks', 'utf8')).split('\n')
    const line = lines.find((one) => one.includes(`:${ino} `) && one.includes(' WRITE '))
    const pid = Number(/ WRITE +(\d+) /.exec(line ?? '')?.[1] ?? 0)
    return pid > 0 ? pid : null
  } catch {
    // it only improves a hint
    return null
  }
}
