/** Finds the process that listens on a TCP port, as far as this user may see it. Linux only; null elsewhere. */

import { readdir, readFile, readlink } from 'node:fs/promises'
import { basename } from 'node:path'
import { printable } from '@clawmesh/proto'

export interface ListeningProcess {
  readonly pid: number
  /** The name of its program, without its path. */
  readonly name: string
}

const LISTEN = '0A'

export async function listeningProcess(port: number): Promise<ListeningProcess | null> {
  const tables = await Promise.all(
    ['/proc/net/tcp', '/proc/net/tcp6'].map((path) => readFile(path, 'utf8').catch(() => '')),
  )
  const sockets = new Set(tables.flatMap((table) => inodesOf(table, port)))
  if (sockets.size === 0) return null
  const pids = (await readdir('/proc').catch((): string[] => [])).filter((one) => /^\d+$/.test(one))
  for (const pid of pids) {
    // other users' processes cannot be read, and some have just ended
    const open = await readdir(`/proc/${pid}/fd`).catch((): string[] => [])
    for (const fd of open) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')
      if (sockets.has(target)) return { pid: Number(pid), name: await nameOf(pid) }
    }
  }
  return null
}

/** The `socket:[inode]` of listeners, from the kernel's table (proc(5)). */
function inodesOf(table: string, port: number): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  return table.split('\n').flatMap((line) => {
    const [, local = '', , state = '', , , , , , inode = ''] = line.trim().split(/\s+/)
    return state === LISTEN && local.endsWith(`:${hex}`) ? [`socket:[${inode}]`] : []
  })
}

async function nameOf(pid: string): Promise<string> {
  const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  const [program = ''] = line.split('\0')
  return printable(basename(program)).slice(0, 40) || 'a program'
}
