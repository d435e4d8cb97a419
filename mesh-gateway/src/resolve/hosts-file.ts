/**
 * Reads the names of /etc/hosts. The C library does not find them for a name with a trailing dot, which is how absolute
 * names are looked up, so this file is read first. Read again when it has changed.
 */
import { stat } from 'node:fs/promises'
import { isIP } from 'node:net'
import { createDisk, readWhole } from '@clawmesh/agent-sdk/mesh'

export interface HostsFile {
  /**
   * The addresses of a name, lower case without trailing dot, in the order of the file. Empty when it is not there.
   * Never rejects.
   */
  addresses(name: string): Promise<readonly string[]>
}

type Table = ReadonlyMap<string, readonly string[]>

const MAX_BYTES = 16 * 1024 * 1024

/** @param path Default `/etc/hosts` */
export function createHostsFile(path = '/etc/hosts'): HostsFile {
  const disk = createDisk()
  let mark = ''
  let table = parseHosts('')

  async function refresh(): Promise<void> {
    const { ino, size, ctimeMs } = await disk.run(path, () => stat(path))
    const found = `${ino} ${size} ${ctimeMs}`
    if (found === mark) return
    table = parseHosts((await readWhole(path, { maxBytes: MAX_BYTES, disk })).toString('latin1'))
    mark = found
  }
  return {
    async addresses(name) {
      try {
        await refresh()
      } catch (error) {
        // a deleted file has no names; a file that cannot be read now keeps its last ones
        if (isGone(error)) {
          table = parseHosts('')
          mark = ''
        }
      }
      return table.get(name) ?? []
    },
  }
}

/** Parses lines of an address and its names; ignores all others, as the C library does. */
export function parseHosts(text: string): Table {
  const table = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const [ip, ...names] = line.replace(/#.*$/s, '').trim().split(/\s+/)
    if (ip === undefined || isIP(ip) === 0) continue
    for (const name of new Set(names.map((one) => one.toLowerCase()))) {
      const known = table.get(name)
      if (known === undefined) table.set(name, [ip])
      else if (!known.includes(ip)) known.push(ip)
    }
  }
  return table
}

function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
