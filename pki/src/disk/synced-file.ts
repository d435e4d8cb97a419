/** Files that have reached the disk before anything points at them. */
import { open } from 'node:fs/promises'

/** Makes a new file; one that exists is never overwritten (EEXIST). The mode holds whatever the umask. */
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

/** Makes the entries of a directory (new files, renames) reach the disk. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
