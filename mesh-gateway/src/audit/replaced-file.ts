/** Notices that a file which is open was moved or removed: what is written to it then is found by nobody who looks at its path. */
import { fstat } from 'node:fs'
import { stat } from 'node:fs/promises'
import { promisify } from 'node:util'

const statFd = promisify(fstat)

/** `moved`: it has another name now. `removed`: it has none, and ends when it is closed. */
export type Replaced = 'moved' | 'removed'

/** Null when the file is what the path names, and of anything that is no file. */
export async function whyReplaced(fd: number, path: string): Promise<Replaced | null> {
  const open = await statFd(fd)
  if (!open.isFile()) return null
  const named = await stat(path).catch((error: NodeJS.ErrnoException) => {
    // of any other fault nobody can say what the path names
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null
    return open
  })
  if (named !== null && named.ino === open.ino && named.dev === open.dev) return null
  return open.nlink === 0 ? 'removed' : 'moved'
}
