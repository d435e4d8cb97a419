/**
 * One process at a time: read, change and write of a file under a lock that the kernel keeps, on an empty file beside it. Whoever
 * dies has given it free, so nothing is ever stale, and nothing is taken over. docs/decisions/locks-are-the-kernels.md
 */
import { closeSync, openSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { MeshError } from '@clawmesh/proto'
import { codeOf } from '../process/error-code.ts'
import { diskError } from './write-atomic.ts'

const WAIT_MS = 5000
const RETRY_MS = 25
const SQLITE_BUSY = 5
const SQLITE_NOTADB = 26

/**
 * The lock file stays: whoever removed it while another has it would make two locks of one.
 * @throws MeshError MESH_DISK_WRITE when the lock cannot be had.
 */
export async function withLock<T>(lockFile: string, work: () => Promise<T>): Promise<T> {
  ensureFile(lockFile)
  const deadline = performance.now() + WAIT_MS
  let held = take(lockFile)
  while (held === null) {
    if (performance.now() > deadline)
      throw new MeshError('MESH_DISK_WRITE', `another process holds ${lockFile}`, {
        hint: await whatToDo(lockFile),
      })
    // never in step: two that take it at the same instant may both be told that it is taken
    await delay(RETRY_MS * (0.5 + Math.random()))
    held = take(lockFile)
  }
  try {
    return await work()
  } finally {
    // nothing has been written, and closing takes back the empty transaction
    held.close()
  }
}

/**
 * Only when it is not there: a file that is opened and closed here loses the locks that this process has on it (POSIX). For the same
 * reason at one go: else another call could have locked it by the time it is closed.
 */
function ensureFile(lockFile: string): void {
  try {
    closeSync(openSync(lockFile, 'wx', 0o600))
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw diskError(lockFile, error)
  }
}

/** SQLite, because Node has no other way to a lock of the kernel; an empty file is an empty database. Null when somebody has it. */
function take(lockFile: string): DatabaseSync | null {
  let database: DatabaseSync | null = null
  try {
    database = new DatabaseSync(lockFile, { timeout: 0 })
    // no journal beside it, and nothing in it
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
        : 'whoever runs this must be able to write it, on a file system that has locks'
    throw new MeshError('MESH_DISK_WRITE', `cannot lock ${lockFile}`, { cause: error, hint })
  }
}

async function whatToDo(lockFile: string): Promise<string> {
  const pid = await holderOf(lockFile)
  return pid === null
    ? 'try again when no other mesh-gateway command runs, on other machines that share the directory too'
    : `try again, or see what process ${pid} waits for: when it ends, the lock is free`
}

/** As Linux tells it (proc_locks(5)); null elsewhere, and for a process of another machine or container, which has no number here. */
async function holderOf(lockFile: string): Promise<number | null> {
  try {
    const { ino } = await stat(lockFile)
    const lines = (await readFile('/proc/locks', 'utf8')).split('\n')
    const line = lines.find((one) => one.includes(`:${ino} `) && one.includes(' WRITE '))
    const pid = Number(/ WRITE +(\d+) /.exec(line ?? '')?.[1] ?? 0)
    return pid > 0 ? pid : null
  } catch {
    // it only makes a hint better
    return null
  }
}
