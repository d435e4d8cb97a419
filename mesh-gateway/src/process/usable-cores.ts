/**
 * How many cores this process may use: those that it is bound to (affinity), within the CPU limit of its cgroup.
 * Node's availableParallelism() is not the answer: docs/discoveries/cores-within-a-cgroup.md
 */
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path/posix'

/** The text of a file; null when it cannot be read. */
export type ReadText = (path: string) => string | null

/**
 * Whole cores, 1 at least: a limit of 2.5 is 2. What is left over serves V8's own threads, and a worker with less than
 * a core of its own would be stopped in each period of the scheduler.
 */
export function usableCores(readText: ReadText = readFile): number {
  const bound = boundTo(readText('/proc/self/status') ?? '') ?? availableParallelism()
  const limit = cpuLimit(readText) ?? bound
  return Math.max(1, Math.min(bound, Math.floor(limit)))
}

/**
 * The CPU limit of this process in cores, the least of its cgroup and the cgroups above it; null without one. Version 2
 * (`cpu.max`) and version 1 (`cpu.cfs_quota_us`), https://docs.kernel.org/admin-guide/cgroup-v2.html
 */
export function cpuLimit(readText: ReadText = readFile): number | null {
  const mounts = mountsOf(readText('/proc/self/mountinfo') ?? '')
  const limits = groupsOf(readText('/proc/self/cgroup') ?? '').flatMap(({ version, path }) => {
    const mount = mounts.find((one) => one.version === version)
    return mount === undefined
      ? []
      : directoriesOf(mount, path).map((dir) => limitIn(dir, version, readText))
  })
  const set = limits.filter((limit) => limit !== null)
  return set.length === 0 ? null : Math.min(...set)
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

/** `Cpus_allowed_list: 0-3,8`; null where the kernel does not say. */
function boundTo(status: string): number | null {
  const list = /^Cpus_allowed_list:\s*([\d,-]+)$/m.exec(status)?.[1]
  if (list === undefined) return null
  return list
    .split(',')
    .map((range) => range.split('-').map(Number))
    .reduce((sum, [first = 0, last = first]) => sum + last - first + 1, 0)
}

/** /proc/self/cgroup: `4:cpu,cpuacct:/docker/1f`, and `0::/` of version 2. */
function groupsOf(text: string): Group[] {
  return text.split('\n').flatMap((line): Group[] => {
    const [, id, controllers = '', path = ''] = /^(\d+):([^:]*):(\/.*)$/.exec(line) ?? []
    if (id === '0' && controllers === '') return [{ version: 2, path }]
    return controllers.split(',').includes('cpu') ? [{ version: 1, path }] : []
  })
}

/** /proc/self/mountinfo: `31 24 0:27 /docker/1f /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct`. */
function mountsOf(text: string): Mount[] {
  return text.split('\n').flatMap((line): Mount[] => {
    const [before = '', after = ''] = line.split(' - ')
    const [, , , root = '/', point = '/'] = before.split(' ').map(unescapeMount)
    const [type, , options = ''] = after.split(' ')
    if (type === 'cgroup2') return [{ version: 2, root, point }]
    const ofCpu = type === 'cgroup' && options.split(',').includes('cpu')
    return ofCpu ? [{ version: 1, root, point }] : []
  })
}

/** The kernel writes space, tab, line feed and backslash as three octal digits. */
function unescapeMount(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  )
}

/** The directory of the cgroup and of those above it, as far as the mount shows them. */
function directoriesOf({ root, point }: Mount, path: string): string[] {
  // a container may be told its path on the host, while its mount shows its own cgroup alone
  const below = root === '/' ? path : path.startsWith(`${root}/`) ? path.slice(root.length) : '/'
  const parts = below.split('/').filter((part) => part !== '' && part !== '..')
  return [...parts, ''].map((_, i) => join(point, ...parts.slice(0, parts.length - i)))
}

function limitIn(dir: string, version: 1 | 2, readText: ReadText): number | null {
  const [quota, period] =
    version === 2
      ? (readText(join(dir, 'cpu.max')) ?? '').trim().split(' ')
      : ['cpu.cfs_quota_us', 'cpu.cfs_period_us'].map((name) => readText(join(dir, name))?.trim())
  const cores = Number(quota) / Number(period)
  // `max` is no number and -1 is below 0: no limit
  return Number.isFinite(cores) && cores > 0 ? cores : null
}

function readFile(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // another system than Linux, a cgroup without this controller, or a sandbox that hides it
    return null
  }
}
