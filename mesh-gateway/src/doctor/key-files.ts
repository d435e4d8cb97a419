/** Checks that private keys are readable by their owner only. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { readWhole } from '@clawmesh/agent-sdk/mesh'
import { type CheckResult, type Finding, result, shellWord } from './finding.ts'

export interface KeyFile {
  readonly path: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Users of the machine that are in its group, but for the one that runs this process. */
  readonly groupUsers: readonly string[]
}

/** Of a process: its user, and all of its groups. */
export interface Reader {
  readonly uid: number
  readonly gids: readonly number[]
}

/** Of /etc/group and /etc/passwd. */
const MAX_USERS_BYTES = 4_194_304
const GROUP_AND_OTHERS_READ = 0o044
const GROUP_READS = 0o040
const OTHERS_READ = 0o004

/** @param reader default: this process */
export function checkKeyFiles(
  files: readonly KeyFile[],
  reader: Reader = { uid: process.geteuid?.() ?? 0, gids: processGroups() },
): CheckResult {
  const open = files.filter((file) => (file.mode & unwanted(file, reader)) !== 0)
  const shared = files.filter((file) => !open.includes(file) && isShared(file))
  const about = files.length === 1 ? '1 file' : `${files.length} files`
  return result('key files', about, openToOthers(open), openToGroup(shared))
}

const WHY =
  'a user that reads a private key can act as this gateway, this agent or the issuer of its tokens'

function openToOthers(files: readonly KeyFile[]): Finding | null {
  if (files.length === 0) return null
  return {
    what: `others on this machine can read ${files.map(named).join(', ')}`,
    why: WHY,
    todo: `chmod 600 ${pathsOf(files)}; in Kubernetes defaultMode: 0400 of the Secret, and fsGroup`,
  }
}

/** This process reads them by their group: without it the gateway could not either. */
function openToGroup(files: readonly KeyFile[]): Finding | null {
  if (files.length === 0) return null
  const users = [...new Set(files.flatMap(({ groupUsers }) => groupUsers))].join(', ')
  return {
    what: `by their group ${users} can read ${files.map(named).join(', ')}`,
    why: WHY,
    todo: `give them a group of this user alone, or chown them to this user and chmod 600 ${pathsOf(files)}`,
  }
}

function named({ path, mode }: KeyFile): string {
  return `${path} (${(mode & 0o777).toString(8)})`
}

function pathsOf(files: readonly KeyFile[]): string {
  return files.map(({ path }) => shellWord(path)).join(' ')
}

function isShared({ mode, groupUsers }: KeyFile): boolean {
  return (mode & GROUP_READS) !== 0 && groupUsers.length > 0
}

/** In a pod, files of Secrets belong to root and to fsGroup: the process reads them by its group alone. */
function unwanted({ uid, gid }: KeyFile, reader: Reader): number {
  const byGroup = uid !== reader.uid && reader.gids.includes(gid)
  return byGroup ? OTHERS_READ : GROUP_AND_OTHERS_READ
}

/** Missing files are left to other checks. */
export async function readKeyFiles(
  identityDirs: readonly string[],
  keysDir: string,
): Promise<KeyFile[]> {
  const names = await readdir(keysDir).catch((): string[] => [])
  const paths = [
    ...identityDirs.map((dir) => join(dir, 'tls.key')),
    ...names.filter((name) => name.endsWith('.pem')).map((name) => join(keysDir, name)),
  ]
  const groupUsers = await readGroupUsers()
  const found = await Promise.all(
    paths.map(async (path) => {
      const facts = await stat(path).catch(() => null)
      if (facts === null) return []
      const { mode, uid, gid } = facts
      return [{ path, mode, uid, gid, groupUsers: groupUsers(gid) }]
    }),
  )
  return found.flat()
}

/** By /etc/group and /etc/passwd; of a directory service nothing is known. */
async function readGroupUsers(): Promise<(gid: number) => readonly string[]> {
  const groups = await linesOf('/etc/group')
  const users = await linesOf('/etc/passwd')
  const own = users.flatMap(([name = '', , uid]) =>
    uid === String(process.geteuid?.()) ? name : [],
  )
  return (gid) => {
    const listed = groups.flatMap(([, , id, names = '']) =>
      id === String(gid) ? names.split(',') : [],
    )
    const primary = users.flatMap(([name = '', , , id]) => (id === String(gid) ? name : []))
    return [...new Set([...listed, ...primary])].filter(
      (name) => name !== '' && !own.includes(name),
    )
  }
}

async function linesOf(file: string): Promise<string[][]> {
  const text = await readWhole(file, { maxBytes: MAX_USERS_BYTES }).catch(() => '')
  return text
    .toString()
    .split('\n')
    .map((line) => line.split(':'))
}

function processGroups(): number[] {
  return [process.getegid?.() ?? 0, ...(process.getgroups?.() ?? [])]
}
