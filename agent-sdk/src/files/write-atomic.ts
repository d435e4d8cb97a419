/**
 * Writes a file in one step: readers see the old file or the new one, never a part. A symbolic link in its place is
 * replaced, never followed.
 */
import { randomBytes } from 'node:crypto'
import { link, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { MeshError, writeHint } from '@clawmesh/proto'

export interface WriteOptions {
  /** Default 0600: for this user alone. */
  readonly mode?: number
  /** After a power cut too there is the old file or the new one. It waits for the disk, some milliseconds. Default true. */
  readonly synced?: boolean
  /** False: a file that is there already is an error, EEXIST. Default true. */
  readonly replaces?: boolean
}

/** @throws MeshError MESH_DISK_WRITE; the old file is then unchanged */
export async function writeAtomic(
  path: string,
  content: string | Uint8Array,
  options: WriteOptions = {},
): Promise<void> {
  await writePieces(path, [content], options)
}

/**
 * The same of pieces that come one after the other.
 * @throws MeshError MESH_DISK_WRITE, or what the pieces throw; the old file is then unchanged
 */
export async function writePieces(
  path: string,
  pieces: Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>,
  { mode = 0o600, synced = true, replaces = true }: WriteOptions = {},
): Promise<void> {
  const fail = (error: unknown): never => {
    throw diskError(path, error)
  }
  const temporary = join(dirname(path), `.${randomBytes(8).toString('hex')}.tmp`)
  try {
    // wx: refuses whatever stands there, a link too
    const file = await open(temporary, 'wx', mode).catch(fail)
    try {
      for await (const piece of pieces) await file.appendFile(piece).catch(fail)
      if (synced) await file.sync().catch(fail)
    } finally {
      await file.close()
    }
    if (replaces) await rename(temporary, path).catch(fail)
    else {
      await link(temporary, path).catch(fail)
      await rm(temporary).catch(fail)
    }
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {
      // the first error names the cause; the leftover file is never read
    })
    throw error
  }
  if (synced) await syncDirectory(dirname(path))
}

/** So that the new name is on the disk. Not every system can; the file has its content all the same. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r').catch(() => null)
  await directory?.sync().catch(() => {})
  await directory?.close()
}

/** The error for a file that cannot be written. */
export function diskError(path: string, error: unknown): MeshError {
  if (error instanceof MeshError) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
  return new MeshError('MESH_DISK_WRITE', `cannot write ${path} (${code})`, {
    cause: error,
    ...writeHint(path, error),
  })
}

/** True for the error of a file that may not be replaced and is there already. */
export function isTaken(error: unknown): boolean {
  if (!(error instanceof MeshError)) return false
  const { cause } = error
  return cause instanceof Error && 'code' in cause && cause.code === 'EEXIST'
}
