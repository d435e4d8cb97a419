/** Replaces a file in one step. A symbolic link in its place is replaced, never followed. */
import { randomBytes } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { MeshError } from '@clawmesh/proto'

const PRIVATE = 0o600

/**
 * Readable by this user only, unless `mode` says otherwise.
 * @throws MeshError MESH_DISK_WRITE; the old file is then unchanged
 */
export async function writePrivate(
  path: string,
  content: string | Uint8Array,
  mode: number = PRIVATE,
): Promise<void> {
  await writePieces(path, [content], mode)
}

/**
 * The same of pieces that come one after the other.
 * @throws MeshError MESH_DISK_WRITE, or what the pieces throw; the old file is then unchanged
 */
export async function writePieces(
  path: string,
  pieces: Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>,
  mode: number = PRIVATE,
): Promise<void> {
  const temporary = join(dirname(path), `.${randomBytes(8).toString('hex')}.tmp`)
  try {
    // wx: refuses whatever stands there, a link too
    const file = await open(temporary, 'wx', mode).catch((error) => {
      throw diskError(path, error)
    })
    try {
      for await (const piece of pieces)
        await file.appendFile(piece).catch((error) => {
          throw diskError(path, error)
        })
    } finally {
      await file.close()
    }
    await rename(temporary, path).catch((error) => {
      throw diskError(path, error)
    })
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {
      // the first error names the cause; the leftover file is never read
    })
    throw error
  }
}

/** The error for a file that cannot be written. */
export function diskError(path: string, error: unknown): MeshError {
  if (error instanceof MeshError) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
  return new MeshError('MESH_DISK_WRITE', `cannot write ${path} (${code})`, { cause: error })
}
