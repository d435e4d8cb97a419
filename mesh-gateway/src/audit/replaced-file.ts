/** Detects that an open file was moved or removed: later writes to it would not be at its path. */
import { fstat } from 'node:fs'
import { stat } from 'node:fs/promises'
import { promisify } from 'node:util'

const statFd = promisify(fstat)

/** `moved`: it has another name. `removed`: it has none, and its content is lost when it is closed. */
export type Replaced = 'moved' | 'removed'

/** Null when the path names the open file, and for anything but a file. */
export async function whyReplaced(fd: number, path: string): Promise<Replaced | null> {
  const open = await statFd(fd)
  if (!open.isFile()) return null
  const named = await stat(path).catch((error: NodeJS.ErrnoException) => {
    // after any other error it is unknown what the path names
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null
    return open
  })
  if (named !== null && named.ino === open.ino && named.dev === open.dev) return null
  return open.nlink === 0 ? 'removed' : 'moved'
}
