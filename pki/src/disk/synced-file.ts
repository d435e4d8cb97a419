/** Writes files that are on the disk before anything refers to them. */
import { open, rm } from 'node:fs/promises'

/** Creates a new file, whole or not at all; never overwrites one (EEXIST). The mode holds for any umask. */
export async function writeSynced(
  path: string,
  content: string | Uint8Array,
  mode: number,
): Promise<void> {
  const file = await open(path, 'wx', mode)
  try {
    await file.chmod(mode)
    await file.writeFile(content)
    await file.sync()
  } catch (error) {
    // of a disk that is full: a part of a file would be taken for one, and a second attempt would find it
    await rm(path, { force: true }).catch(() => {})
    throw error
  } finally {
    await file.close()
  }
}

/** Flushes the entries of a directory (new files, renames) to the disk. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
