/**
 * Opens the file of a task store: ours alone, whole, of a version we know, readable by its owner only.
 * A file that is there is never replaced and never taken for empty.
 */
import {
  chmodSync,
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { MeshError } from '@clawmesh/proto'
import { APPLICATION_ID, MIGRATIONS } from './migrations.ts'
import { integerOf, textOf } from './rows.ts'

export type Durability = 'power-loss' | 'process-crash'

// a process that was killed may hold its lock a moment longer
const LOCK_WAIT_MS = 1_000
const SQLITE_BUSY = 5

/** @throws MeshError MESH_TASK_STORE_LOCKED, MESH_TASK_STORE_CORRUPT, MESH_TASK_STORE_VERSION, MESH_TASK_STORE_FAILED */
export function openDatabase(file: string, durability: Durability): DatabaseSync {
  if (sizeOf(file) === null) create(file)
  if (sizeOf(file) === 0)
    throw new MeshError('MESH_TASK_STORE_CORRUPT', `${file} is empty, which a task store never is`)
  const database = open(file)
  try {
    checkOurs(database, file)
    chmodSync(file, 0o600)
    // the lock is taken by the first transaction and held until the end; exclusive, so that no shared memory is needed
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL')
    database.exec(`PRAGMA synchronous = ${durability === 'power-loss' ? 'FULL' : 'NORMAL'}`)
    database.exec('BEGIN IMMEDIATE; COMMIT')
    checkWhole(database, file)
    migrate(database, file)
    return database
  } catch (error) {
    database.close()
    throw judged(error, file)
  }
}

function open(file: string): DatabaseSync {
  try {
    return new DatabaseSync(file, { timeout: LOCK_WAIT_MS })
  } catch (error) {
    throw judged(error, file)
  }
}

/** Before anything is changed. */
function checkOurs(database: DatabaseSync, file: string): void {
  const id = integerOf(database.prepare('PRAGMA application_id').get(), 'application_id')
  if (id !== APPLICATION_ID)
    throw new MeshError('MESH_TASK_STORE_CORRUPT', `${file} is a database, but no task store`)
}

function checkWhole(database: DatabaseSync, file: string): void {
  const verdict = textOf(database.prepare('PRAGMA quick_check(1)').get(), 'quick_check')
  if (verdict !== 'ok') throw new MeshError('MESH_TASK_STORE_CORRUPT', `${file} is damaged`)
}

function migrate(database: DatabaseSync, file: string): void {
  const version = integerOf(database.prepare('PRAGMA user_version').get(), 'user_version')
  if (version > MIGRATIONS.length)
    throw new MeshError(
      'MESH_TASK_STORE_VERSION',
      `${file} has version ${version}; this one knows ${MIGRATIONS.length}`,
    )
  MIGRATIONS.slice(version).forEach((step, index) => {
    const next = version + index + 1
    database.exec(`BEGIN IMMEDIATE; ${step}; PRAGMA user_version = ${next}; COMMIT`)
  })
}

/** What a disk must have left for a store that has failed to go on: closing it frees a little, which the next task would use up. */
const ROOM_BYTES = 1024 * 1024

/** @throws MeshError MESH_TASK_STORE_FAILED */
export function proveRoom(file: string): void {
  const draft = `${file}.${process.pid}.room`
  try {
    rmSync(draft, { force: true })
    writeFileSync(draft, Buffer.alloc(ROOM_BYTES), { flag: 'wx', mode: 0o600, flush: true })
  } catch (cause) {
    throw new MeshError('MESH_TASK_STORE_FAILED', `there is no room beside ${file}`, { cause })
  } finally {
    rmSync(draft, { force: true })
  }
}

/** Made under another name and then linked: the file is whole as soon as it has its name. */
function create(file: string): void {
  const draft = `${file}.${process.pid}.new`
  try {
    rmSync(draft, { force: true })
    closeSync(openSync(draft, 'wx', 0o600))
    const database = new DatabaseSync(draft)
    database.exec(`PRAGMA application_id = ${APPLICATION_ID}`)
    migrate(database, file)
    database.close()
    linkSync(draft, file)
    syncDirectory(dirname(resolve(file)))
  } catch (cause) {
    // another process was quicker: its file it is
    if (sizeOf(file) === null)
      throw new MeshError('MESH_TASK_STORE_FAILED', `${file} cannot be made`, {
        cause,
        hint: 'its directory must exist and be writable by this user',
      })
  } finally {
    rmSync(draft, { force: true })
  }
}

function syncDirectory(directory: string): void {
  const handle = openSync(directory, 'r')
  fsyncSync(handle)
  closeSync(handle)
}

function judged(error: unknown, file: string): MeshError {
  if (error instanceof MeshError) return error
  const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : 0
  if (code === SQLITE_BUSY)
    return new MeshError('MESH_TASK_STORE_LOCKED', `${file} is in use by another process`)
  return new MeshError('MESH_TASK_STORE_CORRUPT', `${file} cannot be read as a task store`, {
    cause: error,
  })
}

function sizeOf(file: string): number | null {
  return statSync(file, { throwIfNoEntry: false })?.size ?? null
}
