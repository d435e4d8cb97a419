/** Checks that private keys are readable by their owner only. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type CheckResult, result, shellWord } from './finding.ts'

export interface KeyFile {
  readonly path: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

/** Of a process: its user, and all of its groups. */
export interface Reader {
  readonly uid: number
  readonly gids: readonly number[]
}

const GROUP_AND_OTHERS_READ = 0o044
const OTHERS_READ = 0o004

/** @param reader default: this process */
export function checkKeyFiles(
  files: readonly KeyFile[],
  reader: Reader = { uid: process.geteuid?.() ?? 0, gids: processGroups() },
): CheckResult {
  const open = files.filter((file) => (file.mode & unwanted(file, reader)) !== 0)
  const about = files.length === 1 ? '1 file' : `${files.length} files`
  if (open.length === 0) return result('key files', about)
  const names = open.map(({ path, mode }) => `${path} (${(mode & 0o777).toString(8)})`)
  return result('key files', about, {
    what: `others on this machine can read ${names.join(', ')}`,
    why: 'a user that reads a private key can act as this gateway, this agent or the issuer of its tokens',
    todo: `chmod 600 ${open.map(({ path }) => shellWord(path)).join(' ')}; in Kubernetes defaultMode: 0400 of the Secret, and fsGroup`,
  })
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
  const found = await Promise.all(
    paths.map(async (path) => {
      const facts = await stat(path).catch(() => null)
      return facts === null ? [] : [{ path, mode: facts.mode, uid: facts.uid, gid: facts.gid }]
    }),
  )
  return found.flat()
}

function processGroups(): number[] {
  return [process.getegid?.() ?? 0, ...(process.getgroups?.() ?? [])]
}
