/** Replaces a file as a whole, readable by this user only: readers see the old or the new one, never a half. */
import { open, rename, rm } from 'node:fs/promises'
import { MeshError, uuidV7 } from '@clawmesh/proto'

/** @throws MeshError MESH_DISK_WRITE; then the old file is as it was. */
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
      // the first error says what is wrong; the left-over is never read
    })
    throw diskError(path, error)
  }
}

/** The one sentence about a file that cannot be written. */
export function diskError(path: string, error: unknown): MeshError {
  if (error instanceof MeshError) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
  return new MeshError('MESH_DISK_WRITE', `cannot write ${path} (${code})`, { cause: error })
}
