/**
 * How many cores this process may use: those that it is bound to (affinity), within the CPU limit of its cgroup.
 * Node's availableParallelism() is not the answer: docs/discoveries/cores-within-a-cgroup.md
 */
import { availableParallelism } from 'node:os'
import { join } from 'node:path/posix'
import {
  type GroupDirectory,
  groupDirectories,
  type ReadText,
  readKernelFile,
} from './control-groups.ts'

/**
 * Whole cores, 1 at least: a limit of 2.5 is 2. What is left over serves V8's own threads, and a worker with less than
 * a core of its own would be stopped in each period of the scheduler.
 */
export function usableCores(readText: ReadText = readKernelFile): number {
  const bound = boundTo(readText('/proc/self/status') ?? '') ?? availableParallelism()
  const limit = cpuLimit(readText) ?? bound
  return Math.max(1, Math.min(bound, Math.floor(limit)))
}

/** The CPU limit of this process in cores, the least of its cgroup and the cgroups above it; null without one. */
export function cpuLimit(readText: ReadText = readKernelFile): number | null {
  const limits = groupDirectories('cpu', readText)
    .map((dir) => limitIn(dir, readText))
    .filter((limit) => limit !== null)
  return limits.length === 0 ? null : Math.min(...limits)
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

function limitIn({ version, path }: GroupDirectory, readText: ReadText): number | null {
  const [quota, period] =
    version === 2
      ? (readText(join(path, 'cpu.max')) ?? '').trim().split(' ')
      : ['cpu.cfs_quota_us', 'cpu.cfs_period_us'].map((name) => readText(join(path, name))?.trim())
  const cores = Number(quota) / Number(period)
  // `max` is no number and -1 is below 0: no limit
  return Number.isFinite(cores) && cores > 0 ? cores : null
}
