/**
 * The memory of the control group (cgroup) that this process runs in: of its container, pod or unit. At its limit the
 * kernel kills the process, whatever memory the machine has left.
 */
import { readFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { dirname, join } from 'node:path'

export interface GroupMemory {
  readonly limitBytes: number
  /** Without the pages of files, which the kernel takes back when it needs them. */
  usedBytes(): number
}

export interface GroupMemoryOptions {
  /** Where control groups are mounted. Default /sys/fs/cgroup. */
  readonly root?: string
  /** The file that names the groups of this process. Default /proc/self/cgroup. */
  readonly self?: string
  /** A limit that is not below it is none. Default: the memory of the machine. */
  readonly machineBytes?: number
}

/** The files of one version of control groups. */
interface Version {
  readonly limit: string
  readonly usage: string
  /** The fields of memory.stat with memory that the kernel takes back. */
  readonly reclaimable: readonly string[]
}

const V1: Version = {
  limit: 'memory.limit_in_bytes',
  usage: 'memory.usage_in_bytes',
  reclaimable: ['total_inactive_file', 'total_active_file'],
}
const V2: Version = {
  limit: 'memory.max',
  usage: 'memory.current',
  reclaimable: ['inactive_file', 'active_file', 'slab_reclaimable'],
}

/** Null where nothing but the machine bounds the memory, and where there are no control groups. */
export function openGroupMemory(options: GroupMemoryOptions = {}): GroupMemory | null {
  const { root = '/sys/fs/cgroup', self = '/proc/self/cgroup', machineBytes = totalmem() } = options
  const lines = (readText(self) ?? '').split('\n').map((line) => line.split(':'))
  const ofMemory = lines.find(([, controllers]) => controllers?.split(',').includes('memory'))
  const version = ofMemory === undefined ? V2 : V1
  const path = (ofMemory ?? lines.find(([id]) => id === '0'))?.[2]
  if (path === undefined) return null
  const mounted = version === V1 ? join(root, 'memory') : root
  let dir: string | null = null
  let limitBytes = machineBytes
  // the limit of a group holds for those below it too
  for (const each of groupsFrom(mounted, path)) {
    const limit = Number(readText(join(each, version.limit)) ?? Number.NaN)
    if (!(limit < limitBytes)) continue
    limitBytes = limit
    dir = each
  }
  return dir === null ? null : memoryOf(dir, limitBytes, version)
}

/** In a container the path may be that of the machine, while its own group is mounted at the root. */
function groupsFrom(mounted: string, path: string): string[] {
  const dirs: string[] = []
  for (let dir = join(mounted, path); dir.startsWith(`${mounted}/`); dir = dirname(dir))
    if (dir !== `${mounted}/`) dirs.push(dir)
  return [...dirs, mounted]
}

function memoryOf(dir: string, limitBytes: number, version: Version): GroupMemory {
  const field = new RegExp(`^(?:${version.reclaimable.join('|')}) (\\d+)$`, 'gm')
  return {
    limitBytes,
    usedBytes() {
      const usage = Number(readText(join(dir, version.usage)) ?? 0)
      const stat = readText(join(dir, 'memory.stat')) ?? ''
      let reclaimable = 0
      for (const [, bytes] of stat.matchAll(field)) reclaimable += Number(bytes)
      return Math.max(0, usage - reclaimable)
    },
  }
}

/** These files are made by the kernel: reading them waits for no disk. Null when there is none. */
function readText(file: string): string | null {
  try {
    return readFileSync(file, 'latin1').trim()
  } catch {
    // another version of control groups, or none
    return null
  }
}
