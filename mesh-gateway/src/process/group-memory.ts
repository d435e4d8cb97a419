/**
 * The memory of the control group (cgroup) that this process runs in: of its container, pod or unit. At its limit the
 * kernel kills the process, whatever memory the machine has left.
 */
import { totalmem } from 'node:os'
import { join } from 'node:path/posix'
import { groupDirectories, type ReadText, readKernelFile } from './control-groups.ts'

export interface GroupMemory {
  readonly limitBytes: number
  /** Without the pages of files, which the kernel takes back when it needs them. */
  usedBytes(): number
}

export interface GroupMemoryOptions {
  /** Default: reads the files of the kernel. */
  readonly readText?: ReadText
  /** A limit that is not below it is none. Default: the memory of the machine. */
  readonly machineBytes?: number
}

/** The files of one version of control groups. */
interface Files {
  readonly limit: string
  readonly usage: string
  /** The lines of memory.stat with memory that the kernel takes back. */
  readonly reclaimable: RegExp
}

const FILES: Readonly<Record<1 | 2, Files>> = {
  1: {
    limit: 'memory.limit_in_bytes',
    usage: 'memory.usage_in_bytes',
    reclaimable: /^total_(?:in)?active_file (\d+)$/gm,
  },
  2: {
    limit: 'memory.max',
    usage: 'memory.current',
    reclaimable: /^(?:(?:in)?active_file|slab_reclaimable) (\d+)$/gm,
  },
}

/** Null where nothing but the machine bounds the memory, and where there are no control groups. */
export function openGroupMemory(options: GroupMemoryOptions = {}): GroupMemory | null {
  const { readText = readKernelFile, machineBytes = totalmem() } = options
  let lowest: GroupMemory | null = null
  // the limit of a group holds for those below it too
  for (const { version, path } of groupDirectories('memory', readText)) {
    const files = FILES[version]
    // `max` is no number
    const limitBytes = Number.parseInt(readText(join(path, files.limit)) ?? '', 10)
    if (limitBytes < (lowest?.limitBytes ?? machineBytes))
      lowest = { limitBytes, usedBytes: () => usedIn(path, files, readText) }
  }
  return lowest
}

function usedIn(path: string, files: Files, readText: ReadText): number {
  const usage = Number(readText(join(path, files.usage)) ?? 0)
  const stat = readText(join(path, 'memory.stat')) ?? ''
  let reclaimable = 0
  for (const [, bytes] of stat.matchAll(files.reclaimable)) reclaimable += Number(bytes)
  return Math.max(0, usage - reclaimable)
}
