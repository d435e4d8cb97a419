/** Root reads every file whatever its mode. What is about permissions is tried as nobody, on root's machine too. */
import { lchown, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** The user nobody, by convention. */
const NOBODY = 65_534

/** Runs `work` as a user who is not root. The directories, and the files in them now, are given to that user first. */
export async function withoutPrivileges(
  dirs: readonly string[],
  work: () => Promise<void>,
): Promise<void> {
  if (process.geteuid?.() !== 0) return await work()
  for (const dir of dirs) {
    const files = await readdir(dir)
    for (const path of [dir, ...files.map((name) => join(dir, name))])
      await lchown(path, NOBODY, NOBODY)
  }
  // the threads that read files follow: the C library changes all of them
  process.seteuid?.(NOBODY)
  try {
    await work()
  } finally {
    process.seteuid?.(0)
  }
}
