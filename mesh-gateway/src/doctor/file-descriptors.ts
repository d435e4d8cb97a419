/** Checks how many files and sockets a process may have open. */
import { readFile } from 'node:fs/promises'
import { type CheckResult, result } from './finding.ts'

/** A tunnel takes two, and so does a delegated call that opens a connection. */
const LEAST = 4_096

/** @param limit null: unlimited, or unknown */
export function checkFileDescriptors(limit: number | null): CheckResult {
  const about = limit === null ? 'no limit is known' : `${limit} at once`
  if (limit === null || limit >= LEAST) return result('open files', about)
  return result('open files', about, {
    what: `a process may have ${limit} files and sockets open`,
    why: `a tunnel takes two: after about ${Math.floor(limit / 2)} new connections are refused`,
    todo: 'ulimit -n 65536, or LimitNOFILE=65536 in the unit of systemd, before the gateway starts',
  })
}

/** For this process, and so for a gateway started from the same place. Linux only. */
export async function readFileDescriptorLimit(): Promise<number | null> {
  const text = await readFile('/proc/self/limits', 'utf8').catch(() => '')
  const [, soft = ''] = /^Max open files +(\S+)/m.exec(text) ?? []
  return /^\d+$/.test(soft) ? Number(soft) : null
}
