/**
 * Reads a policy directory: every file from one and the same place, even while a Kubernetes `..data` link or a
 * `current` link is being moved. Reads bytes only; what they say is judged by load-policy.ts.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import path from 'node:path'

/** Of one file, and of the whole directory. */
export const MAX_FILE_BYTES = 1024 * 1024
export const MAX_DIRECTORY_BYTES = 64 * 1024 * 1024
export const MAX_FILES = 20_000
const AT_ONCE = 32

export interface RawFile {
  readonly name: string
  /** Null when it could not be read. */
  readonly bytes: Uint8Array | null
  /** Why it could not be read. */
  readonly problem: string | null
  /** The same for the same content; null when it could not be read. */
  readonly digest: string | null
}

export interface RawDirectory {
  /** False when there is no such directory. */
  readonly exists: boolean
  /** In the order of their names. */
  readonly files: readonly RawFile[]
  /** Of the directory itself; null when it can be read. */
  readonly problem: string | null
  /** The same for the same content, names included; lower-case hexadecimal. */
  readonly digest: string
}

/** Never throws for what the disk does. */
export async function readPolicyDirectory(dir: string): Promise<RawDirectory> {
  try {
    const real = await realDirectory(dir)
    const names = (await readdir(real)).filter(isPolicyName).sort()
    if (names.length > MAX_FILES) return unusable(true, `holds more than ${MAX_FILES} files`)
    const files: RawFile[] = []
    let total = 0
    for (let at = 0; at < names.length; at += AT_ONCE) {
      const batch = names.slice(at, at + AT_ONCE)
      const read = await Promise.all(batch.map((name) => readOne(path.join(real, name), name)))
      total += read.reduce((sum, file) => sum + (file.bytes?.length ?? 0), 0)
      if (total > MAX_DIRECTORY_BYTES) return unusable(true, 'holds more than 64 MiB of policy')
      files.push(...read)
    }
    return { exists: true, files, problem: null, digest: digestOf(files) }
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return unusable(false, 'does not exist')
    return unusable(true, `cannot be read: ${errorCode(error)}`)
  }
}

/** Hidden files, editors' copies and notes are none of ours; everything else that claims to be policy is. */
function isPolicyName(name: string): boolean {
  return !name.startsWith('.') && (name.startsWith('_') || /\.json$/i.test(name))
}

async function realDirectory(dir: string): Promise<string> {
  const real = await realpath(dir)
  try {
    return await realpath(path.join(real, '..data'))
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return real
    throw error
  }
}

async function readOne(file: string, name: string): Promise<RawFile> {
  try {
    const { size } = await regular(file)
    if (size > MAX_FILE_BYTES)
      return { name, bytes: null, problem: 'is larger than 1 MiB', digest: null }
    const bytes = await readFile(file)
    return bytes.length > MAX_FILE_BYTES
      ? { name, bytes: null, problem: 'is larger than 1 MiB', digest: null }
      : { name, bytes, problem: null, digest: createHash('sha256').update(bytes).digest('hex') }
  } catch (error) {
    const problem =
      error instanceof NotRegular ? 'is not a file' : `cannot be read: ${errorCode(error)}`
    return { name, bytes: null, problem, digest: null }
  }
}

class NotRegular extends Error {}

/** A named pipe or a device would hold up the reading for ever. */
async function regular(file: string): Promise<{ size: number }> {
  const found = await stat(file)
  if (!found.isFile()) throw new NotRegular()
  return found
}

function digestOf(files: readonly RawFile[]): string {
  const hash = createHash('sha256')
  for (const { name, problem, digest } of files)
    hash.update(JSON.stringify([name, digest, problem]))
  return hash.digest('hex')
}

function unusable(exists: boolean, problem: string): RawDirectory {
  return { exists, files: [], problem, digest: problem }
}

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
}
