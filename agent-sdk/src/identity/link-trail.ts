/**
 * Where a change of the identity files can show: the directories that hold them, and those that hold a symbolic link
 * on the way to them (`..data` of Kubernetes, `current -> releases/7`).
 */
import { readlink, stat } from 'node:fs/promises'
import { dirname, join, parse, resolve, sep } from 'node:path'
import { IDENTITY_FILES } from './read-files.ts'

export interface LinkTrail {
  readonly directories: ReadonlySet<string>
  /** The entries in them that matter. */
  readonly entries: ReadonlySet<string>
  /** Differs when another directory, or a new one by the same name, has to be watched. */
  readonly key: string
}

/** As many as Linux follows. */
const MAX_LINKS = 40

/** Never fails: where something is missing, the trail ends in the directory in which it will appear. */
export async function walkTrail(dir: string): Promise<LinkTrail> {
  const directories = new Set<string>()
  const entries = new Set<string>()
  const note = (path: string) => {
    directories.add(dirname(path))
    entries.add(path)
  }
  for (const name of IDENTITY_FILES) {
    const path = join(resolve(dir), name)
    note(path)
    const end = await walk(path, note)
    note(end)
    // the directory itself may be renamed, or removed and made again
    note(dirname(end))
  }
  note(resolve(dir))
  const inodes = await Promise.all([...directories].sort().map(inodeOf))
  return { directories, entries, key: inodes.join('\n') }
}

async function walk(path: string, note: (link: string) => void): Promise<string> {
  const { root } = parse(path)
  let parts = path.slice(root.length).split(sep)
  let at = root
  let links = 0
  while (parts.length > 0) {
    const [part = '', ...rest] = parts
    const next = join(at, part)
    const target = await readlink(next).catch((error: NodeJS.ErrnoException) => error)
    if (typeof target === 'string') {
      note(next)
      links += 1
      if (links > MAX_LINKS) return next
      const resolved = resolve(at, target)
      at = root
      parts = [...resolved.slice(root.length).split(sep), ...rest]
      continue
    }
    // EINVAL is what readlink says of everything that is no link
    if (target.code !== 'EINVAL') return next
    at = next
    parts = rest
  }
  return at
}

async function inodeOf(directory: string): Promise<string> {
  // a directory that is missing will have a number when it comes
  const number = await stat(directory)
    .then(({ dev, ino }) => `${dev}:${ino}`)
    .catch(() => '-')
  return `${directory} ${number}`
}
