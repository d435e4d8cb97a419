/** Which TCP connections of a port the kernel keeps alive, as /proc/net/tcp has it. */
import { readFile } from 'node:fs/promises'

export interface KeepAliveTimers {
  /** Of the side that listens: whether a keep-alive timer runs, one for each connection. */
  readonly accepted: readonly boolean[]
  /** Of the side that has connected. */
  readonly dialled: readonly boolean[]
}

const ESTABLISHED = '01'
/** "Another timer": of an established connection with nothing to send that is the one of keep-alive (man 5 proc_pid_net). */
const KEEP_ALIVE_TIMER = '02'

/** Null where there is no /proc/net/tcp. */
export async function keepAliveTimers(port: number): Promise<KeepAliveTimers | null> {
  const tables = await Promise.all(
    ['/proc/net/tcp', '/proc/net/tcp6'].map((path) => readFile(path, 'latin1').catch(() => null)),
  )
  if (tables.every((table) => table === null)) return null
  const accepted: boolean[] = []
  const dialled: boolean[] = []
  for (const line of tables.flatMap((table) => (table ?? '').split('\n').slice(1))) {
    const [, local = '', remote = '', state, , timer = ''] = line.trim().split(/\s+/)
    if (state !== ESTABLISHED) continue
    const kept = timer.startsWith(KEEP_ALIVE_TIMER)
    if (portOf(local) === port) accepted.push(kept)
    else if (portOf(remote) === port) dialled.push(kept)
  }
  return { accepted, dialled }
}

function portOf(address: string): number {
  return Number.parseInt(address.split(':')[1] ?? '', 16)
}
