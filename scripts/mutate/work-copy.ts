/**
 * A copy of the checkout in which one source at a time is changed: the checkout itself is never touched. Packages of npm are
 * links to those of the checkout; packages of this repository are those of the copy.
 */
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  realpath,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

export interface WorkCopy {
  readonly root: string
  /** For what the tests write: it goes with the copy. */
  readonly scratch: string
  /** Writes a file of the copy for as long as `run` takes, and then puts the old one back: the checkout may have moved on. */
  withFile<T>(file: string, text: string, run: () => Promise<T>): Promise<T>
  close(): Promise<void>
}

export interface WorkCopyOptions {
  /** The root of the checkout. */
  readonly from: string
  /** What to copy, relative to it. */
  readonly files: readonly string[]
  /** Folders of packages, relative to it: `node_modules` and those of the workspaces. */
  readonly modules: readonly string[]
}

export async function createWorkCopy(options: WorkCopyOptions): Promise<WorkCopy> {
  const { from, files, modules } = options
  // short, since the path of a socket may have 107 bytes
  const home = await realpath(await mkdtemp(join(tmpdir(), 'cm-')))
  const [root, scratch] = [join(home, 'tree'), join(home, 't')]
  const copy = async (file: string) => {
    await mkdir(dirname(join(root, file)), { recursive: true })
    await copyFile(join(from, file), join(root, file))
  }
  try {
    // as the system's own: some tests give up the privileges of root, and must still get there
    await chmod(home, 0o755)
    await mkdir(scratch)
    await chmod(scratch, 0o1777)
    for (const file of files) await copy(file)
    for (const folder of modules) await linkModules(join(from, folder), join(root, folder))
  } catch (error) {
    await rm(home, { recursive: true, force: true })
    throw error
  }
  return {
    ...{ root, scratch },
    async withFile(file, text, run) {
      const before = await readFile(join(root, file))
      await writeFile(join(root, file), text)
      try {
        return await run()
      } finally {
        await writeFile(join(root, file), before)
      }
    },
    close: () => rm(home, { recursive: true, force: true, maxRetries: 3 }),
  }
}

async function linkModules(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true })
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [there, here] = [join(from, entry.name), join(to, entry.name)]
    // a relative link is a package of this repository, or a command: as it is, it leads into the copy
    if (entry.isSymbolicLink()) await symlink(await readlink(there), here)
    else if (entry.isDirectory() && (entry.name.startsWith('@') || entry.name === '.bin'))
      await linkModules(there, here)
    else await symlink(there, here)
  }
}
