/**
 * The control groups (cgroups) of this process: of its container, pod or unit, and those above. Version 2, version 1, and
 * both at once on hybrid machines, https://docs.kernel.org/admin-guide/cgroup-v2.html
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path/posix'

/** The text of a file; null when it cannot be read. */
export type ReadText = (path: string) => string | null

export interface GroupDirectory {
  readonly version: 1 | 2
  readonly path: string
}

/** Where the files of a controller are: in the directory of the cgroup, then in those above it, as far as they are mounted. */
export function groupDirectories(
  controller: 'cpu' | 'memory',
  readText: ReadText = readKernelFile,
): GroupDirectory[] {
  const mounts = mountsOf(readText('/proc/self/mountinfo') ?? '', controller)
  return groupsOf(readText('/proc/self/cgroup') ?? '', controller).flatMap(({ version, path }) => {
    const mount = mounts.find((one) => one.version === version)
    return mount === undefined ? [] : directoriesOf(mount, path)
  })
}

/** The kernel makes these files: reading them waits for no disk. */
export function readKernelFile(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // another system than Linux, a cgroup without this controller, or a sandbox that hides it
    return null
  }
}

interface Group {
  readonly version: 1 | 2
  readonly path: string
}

interface Mount {
  readonly version: 1 | 2
  /** The cgroup that the mount point shows. */
  readonly root: string
  readonly point: string
}

/** /proc/self/cgroup: `4:cpu,cpuacct:/docker/1f`, and `0::/` of version 2. */
function groupsOf(text: string, controller: string): Group[] {
  return text.split('\n').flatMap((line): Group[] => {
    const [, id, controllers = '', path = ''] = /^(\d+):([^:]*):(\/.*)$/.exec(line) ?? []
    if (id === '0' && controllers === '') return [{ version: 2, path }]
    return controllers.split(',').includes(controller) ? [{ version: 1, path }] : []
  })
}

/** /proc/self/mountinfo: `31 24 0:27 /docker/1f /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct`. */
function mountsOf(text: string, controller: string): Mount[] {
  return text.split('\n').flatMap((line): Mount[] => {
    const [before = '', after = ''] = line.split(' - ')
    const [, , , root = '/', point = '/'] = before.split(' ').map(unescapeMount)
    const [type, , options = ''] = after.split(' ')
    if (type === 'cgroup2') return [{ version: 2, root, point }]
    const isOfController = type === 'cgroup' && options.split(',').includes(controller)
    return isOfController ? [{ version: 1, root, point }] : []
  })
}

/** The kernel writes space, tab, line feed and backslash as three octal digits. */
function unescapeMount(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  )
}

function directoriesOf({ version, root, point }: Mount, path: string): GroupDirectory[] {
  // a container may be told its path on the host, while its mount shows its own cgroup alone
  const below = root === '/' ? path : path.startsWith(`${root}/`) ? path.slice(root.length) : '/'
  const parts = below.split('/').filter((part) => part !== '' && part !== '..')
  return [...parts, ''].map((_, i) => ({
    version,
    path: join(point, ...parts.slice(0, parts.length - i)),
  }))
}
