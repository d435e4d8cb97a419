/** Replaces a file atomically: readers see the old or the new file. */

import { randomUUID } from 'node:crypto'
import { rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileFault } from './file-fault.ts'
import { syncDirectory, writeSynced } from './synced-file.ts'

/** @throws MeshError MESH_DISK_WRITE. */
export async function replaceFile(
  path: string,
  content: string | Uint8Array,
  mode: number,
): Promise<void> {
  const draft = `${path}.${randomUUID()}.draft`
  try {
    await writeSynced(draft, content, mode)
    await rename(draft, path)
    await syncDirectory(dirname(path))
  } catch (error) {
    await rm(draft, { force: true })
    throw fileFault('MESH_DISK_WRITE', path, error)
  }
}
