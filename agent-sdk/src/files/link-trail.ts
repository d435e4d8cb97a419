/**
 * Where a change of files can show: the directories that hold them, and those that hold a symbolic link on the way to
 * them (`..data` of Kubernetes, `current -> releases/7`).
 */
import { readlink, stat } from 'node:fs/promises'
import { dirname, join, parse, resolve, sep } from 'node:path'
import type { Disk } from './disk.ts'

export interface LinkTrail {
  /** Directories to watch, each by a key that differs when another directory has come by the same name. */
  readonly directories: ReadonlyMap<string, string>
  /** The entries in them that matter. */
  readonly entries: ReadonlySet<string>
  /** Directories of which every entry matters. */
  readonly whole: ReadonlySet<string>
}

export interface TrailStart {
  readonly files: readonly string[]
  /** Directories whose content matters, whatever the names in it. Default none. */
  readonly directories?: readonly string[]
}

/** As many as Linux follows. */
const MAX_LINKS = 40

/**
 * Where something is missing, the trail ends in the directory in which it will appear.
 * @throws FileFault NO_ANSWER
 */
export async function walkTrail(
  { files, directories = [] }: TrailStart,
  disk: Disk,
): Promise<LinkTrail> {
  const linkAt = askOnce(disk)
  const watched = new Set<string>()
  const entries = new Set<string>()
  const whole = new Set<string>()
  const note = (path: string) => {
    watched.add(dirname(path))
    entries.add(path)
  }
  const follow = async (path: string) => {
    note(path)
    const end = await walk(path, note, linkAt)
    note(end)
    return end
  }
  for (const file of files) {
    const path = resolve(file)
    const end = await follow(path)
    // the directory itself may be renamed, or removed and made again
    note(dirname(end))
    note(dirname(path))
  }
  for (const directory of directories) {
    const end = await follow(resolve(directory))
    watched.add(end)
    whole.add(end)
  }
  const keys = new Map<string, string>()
  for (const directory of watched)
    keys.set(`${await inodeOf(directory, disk)} ${directory}`, directory)
  return { directories: keys, entries, whole }
}

/** Where a link leads; a path that is no link, or is missing. */
type Target = { readonly link: string } | 'no link' | 'missing'

async function walk(
  path: string,
  note: (link: string) => void,
  linkAt: (path: string) => Promise<Target>,
): Promise<string> {
  const { root } = parse(path)
  let parts = path.slice(root.length).split(sep)
  let at = root
  let links = 0
  while (parts.length > 0) {
    const [part = '', ...rest] = parts
    const next = join(at, part)
    const target = await linkAt(next)
    if (target === 'missing') return next
    if (target === 'no link') {
      at = next
      parts = rest
      continue
    }
    note(next)
    links += 1
    if (links > MAX_LINKS) return next
    const resolved = resolve(at, target.link)
    at = root
    parts = [...resolved.slice(root.length).split(sep), ...rest]
  }
  return at
}

/** Files of one directory share the way to it, and each link leads over most of that way again: each place is asked about once. */
function askOnce(disk: Disk): (path: string) => Promise<Target> {
  const targets = new Map<string, Promise<Target>>()
  return (path) => {
    const known = targets.get(path)
    if (known !== undefined) return known
    const target = disk.run(path, () => targetOf(path))
    targets.set(path, target)
    return target
  }
}

function targetOf(path: string): Promise<Target> {
  return readlink(path).then(
    (link) => ({ link }),
    // EINVAL is what readlink says of everything that is no link
    (error: NodeJS.ErrnoException) => (error.code === 'EINVAL' ? 'no link' : 'missing'),
  )
}

function inodeOf(directory: string, disk: Disk): Promise<string> {
  // a directory that is missing will have a number when it comes
  return disk.run(directory, () =>
    stat(directory).then(
      ({ dev, ino }) => `${dev}:${ino}`,
      () => '-',
    ),
  )
}
