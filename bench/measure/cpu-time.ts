/**
 * CPU time of a process with its threads and children, user plus system, as Linux accounts it.
 * schedstat counts nanoseconds of living threads; stat counts hundredths of a second, dead threads included.
 */
import { readdirSync, readFileSync } from 'node:fs'

export const TICK_NS = 10_000_000

/** Nanoseconds on a CPU so far. Processes that have gone count nothing. */
export function cpuNanoseconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + ofProcess(pid), 0)
}

/** A process and all below it. */
export function withDescendants(pid: number): number[] {
  const children = read(`/proc/${pid}/task/${pid}/children`) ?? ''
  const below = children.split(' ').map(Number).filter(Boolean)
  return [pid, ...below.flatMap(withDescendants)]
}

/** The first field of /proc/<pid>/task/<tid>/schedstat: nanoseconds on a CPU. Null when it is not that. */
export function parseSchedstat(text: string): number | null {
  const nanoseconds = Number(text.split(' ', 1)[0] || Number.NaN)
  return Number.isFinite(nanoseconds) ? nanoseconds : null
}

/** utime plus stime of /proc/<pid>/stat, in nanoseconds. The command name may hold spaces and brackets. */
export function parseStat(text: string): number | null {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const ticks = Number(fields[11]) + Number(fields[12])
  return Number.isFinite(ticks) ? ticks * TICK_NS : null
}

/** Resident set of /proc/<pid>/status, in bytes. */
export function residentBytes(pid: number): number | null {
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? '')
  return found === null ? null : Number(found[1]) * 1024
}

function ofProcess(pid: number): number {
  let sum = 0
  for (const thread of list(`/proc/${pid}/task`)) {
    const one = parseSchedstat(read(`/proc/${pid}/task/${thread}/schedstat`) ?? '')
    if (one === null) return parseStat(read(`/proc/${pid}/stat`) ?? '') ?? 0
    sum += one
  }
  return sum
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null // the process or thread has ended between two looks
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return [] // as above
  }
}
