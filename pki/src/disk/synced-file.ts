/** Writes files that are on the disk before anything refers to them. */
import { open } from 'node:fs/promises'

/** Creates a new file; never overwrites one (EEXIST). The mode holds for any umask. */
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
