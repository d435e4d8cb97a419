/** Replaces a file atomically, readable by this user only: readers see the old or the new file, never a part. */
import { open, rename, rm } from 'node:fs/promises'
import { MeshError, uuidV7 } from '@clawmesh/proto'

/** @throws MeshError MESH_DISK_WRITE; the old file is then unchanged */
export async function writeAtomic(path: string, content: string): Promise<void> {
  const temporary = `${path}.${uuidV7()}.tmp`
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {
      // the first error names the cause; the leftover file is never read
    })
    throw diskError(path, error)
  }
}

/** The error for a file that cannot be written. */
export function diskError(path: string, error: unknown): MeshError {
  if (error instanceof MeshError) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
  return new MeshError('MESH_DISK_WRITE', `cannot write ${path} (${code})`, { cause: error })
}
