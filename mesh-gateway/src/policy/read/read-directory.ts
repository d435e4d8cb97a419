/**
 * Reads policy files from disk: `_global.json` and files of tenants from the operator's directory, and one file of each
 * tenant from a directory that the tenant may write. All files of a directory come from the same real directory, even
 * while a Kubernetes `..data` link or a `current` link is moved. Reads bytes only; load-policy.ts judges them.
 */
import { createHash } from 'node:crypto'
import { opendir, readdir, realpath } from 'node:fs/promises'
import path from 'node:path'
import { createDisk, type Disk, describeFileFault, readWhole } from '@clawmesh/agent-sdk/mesh'
import { isDnsLabel } from '@clawmesh/proto'
import { codeOf } from '../../process/error-code.ts'
import type { PolicyFault } from './fault-shape.ts'
import { GLOBAL_FILE } from './read-file.ts'

/** Maximum size of one file, and of the whole directory. */
export const MAX_FILE_BYTES = 1024 * 1024
const MAX_DIRECTORY_BYTES = 64 * 1024 * 1024
export const MAX_FILES = 20_000
/** Maximum entries of a tenant's directory that are checked for foreign files. */
const MAX_ENTRIES = 200
/** Maximum of those that are reported, per tenant. */
const MAX_IGNORED = 5

export interface RawFile {
  /** `acme.json`, `_global.json`. */
  readonly name: string
  /** Null when it could not be read. */
  readonly bytes: Uint8Array | null
  /** Why it could not be read. */
  readonly problem: string | null
  /** Equal for equal content; null when it could not be read. */
  readonly digest: string | null
}

export interface PolicyPlaces {
  /** The operator's directory: `_global.json`, and TENANT.json. */
  readonly dir: string
  /** Contains one directory per tenant, with its name, in which only TENANT.json is read. Default none. */
  readonly tenantDirs?: string | null
}

export interface RawDirectory {
  /** True when one of the two directories does not exist; the other one may have been read. */
  readonly absent: boolean
  /** `_global.json` first, then sorted by name; each name once. */
  readonly files: readonly RawFile[]
  /** A fault of the operator's directory or of `tenantDirs` as a whole; null when both can be read. */
  readonly problem: PolicyFault | null
  /** Files that are not read: `_global.json` and files of other tenants in a tenant's directory. */
  readonly ignored: readonly PolicyFault[]
  /** Equal for equal content, names included; lower-case hexadecimal. */
  readonly digest: string
}

/** Two, so that a hanging volume of a tenant does not block the operator's directory. */
export interface PolicyDisks {
  readonly own: Disk
  readonly tenants: Disk
}

/** @param own default: its own */
export function createPolicyDisks(own: Disk = createDisk()): PolicyDisks {
  return { own, tenants: createDisk({ width: 1 }) }
}

interface Read {
  readonly files: RawFile[]
  readonly ignored: PolicyFault[]
}

/** Never throws for a failure of the disk. @param disks for repeated readings */
export async function readPolicyDirectory(
  places: PolicyPlaces,
  disks: PolicyDisks = createPolicyDisks(),
): Promise<RawDirectory> {
  const { dir, tenantDirs = null } = places
  const own = await attempt(() => readOwn(dir, disks.own))
  // without the operator's files it is unknown which tenants' files they replace, and what `_global.json` denies
  const theirs =
    tenantDirs === null || typeof own === 'string'
      ? { files: [], ignored: [] }
      : await attempt(() => readTenants(tenantDirs, disks.tenants))
  const absent = own === ABSENT || theirs === ABSENT
  const read = (found: Read | string): Read =>
    typeof found === 'string' ? { files: [], ignored: [] } : found
  const named = new Set(read(own).files.map(({ name }) => name))
  const twice = read(theirs).files.filter(({ name }) => named.has(name))
  const files = [
    ...read(own).files,
    ...read(theirs).files.filter(({ name }) => !named.has(name)),
  ].sort(byName)
  const ignored = [
    ...read(theirs).ignored,
    ...twice.map(({ name }) =>
      ignoredFile(tenantDirs ?? '', name, `is not read: ${dir} has a ${name} too, the operator's`),
    ),
  ]
  const wrong = (where: string | null, found: Read | string) =>
    typeof found === 'string' ? faultOf(where ?? '', found) : null
  const problem = wrong(dir, own) ?? wrong(tenantDirs, theirs)
  return { absent, files, problem, ignored, digest: digestOf(files, ignored, problem) }
}

const ABSENT = 'does not exist'

async function attempt(read: () => Promise<Read>): Promise<Read | string> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof Unusable) return error.message
    if (codeOf(error) === 'ENOENT') return ABSENT
    return `cannot be read: ${describeFileFault(error)}`
  }
}

class Unusable extends Error {}

/** Reads the operator's directory. */
async function readOwn(dir: string, disk: Disk): Promise<Read> {
  const real = await disk.run(path.join(dir, '.'), () => realDirectory(dir))
  const entries = await disk.run(path.join(real, '.'), () => readdir(real))
  const names = entries.filter(isPolicyName).sort()
  if (names.length > MAX_FILES) throw new Unusable(`holds more than ${MAX_FILES} files`)
  const files: RawFile[] = []
  let total = 0
  for (const name of [...names.filter(isGlobal), ...names.filter((name) => !isGlobal(name))]) {
    const file = await readOne(path.join(real, name), name, disk)
    total += file.bytes?.length ?? 0
    files.push(total > MAX_DIRECTORY_BYTES ? unread(name, 'is beyond 64 MiB of policy') : file)
  }
  return { files, ignored: [] }
}

/** Reads `tenantDirs/acme/acme.json`, for each directory. Other files of a tenant are not read. */
async function readTenants(dir: string, disk: Disk): Promise<Read> {
  const real = await disk.run(path.join(dir, '.'), () => realpath(dir))
  const entries = await disk.run(path.join(real, '.'), () => readdir(real))
  const tenants = entries.filter(isDnsLabel).sort()
  if (tenants.length > MAX_FILES) throw new Unusable(`holds more than ${MAX_FILES} directories`)
  const files: RawFile[] = []
  const ignored: PolicyFault[] = []
  for (const tenant of tenants) {
    const found = await readTenant(path.join(real, tenant), tenant, disk)
    files.push(...found.files)
    ignored.push(...found.ignored)
  }
  return { files, ignored }
}

async function readTenant(dir: string, tenant: string, disk: Disk): Promise<Read> {
  const name = `${tenant}.json`
  try {
    const real = await disk.run(path.join(dir, '.'), () => realDirectory(dir))
    const names = await disk.run(path.join(real, '.'), () => firstEntries(real))
    const ignored = names
      .filter((entry) => isPolicyName(entry) && entry !== name)
      .slice(0, MAX_IGNORED)
      .map((entry) =>
        ignoredFile(tenant, entry, `is not read: in the directory of a tenant only ${name} is`),
      )
    const file = await readWithin(real, dir, name, disk)
    return { files: file === null ? [] : [file], ignored }
  } catch (error) {
    // a file beside the directories, or a directory that was just removed
    if (codeOf(error) === 'ENOTDIR' || codeOf(error) === 'ENOENT') return { files: [], ignored: [] }
    return { files: [unread(name, `cannot be read: ${describeFileFault(error)}`)], ignored: [] }
  }
}

/** A link in a tenant's directory must not lead out of it. Null when there is no such file. */
async function readWithin(
  real: string,
  dir: string,
  name: string,
  disk: Disk,
): Promise<RawFile | null> {
  try {
    const file = await disk.run(path.join(real, name), () => realpath(path.join(real, name)))
    const root = await disk.run(path.join(dir, '.'), () => realpath(dir))
    if (!file.startsWith(`${root}${path.sep}`))
      return unread(name, "is a link that leads out of the tenant's directory")
    return await readOne(file, name, disk)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    return unread(name, `cannot be read: ${describeFileFault(error)}`)
  }
}

/** Bounded, however many entries a tenant creates. */
async function firstEntries(dir: string): Promise<string[]> {
  const names: string[] = []
  await using opened = await opendir(dir)
  for await (const { name } of opened) {
    names.push(name)
    if (names.length >= MAX_ENTRIES) break
  }
  return names.sort()
}

/** Hidden files, editors' copies and notes are ignored; every other name that looks like policy counts. */
function isPolicyName(name: string): boolean {
  return !name.startsWith('.') && (name.startsWith('_') || /\.json$/i.test(name))
}

function isGlobal(name: string): boolean {
  return name === GLOBAL_FILE
}

async function realDirectory(dir: string): Promise<string> {
  const real = await realpath(dir)
  try {
    return await realpath(path.join(real, '..data'))
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return real
    throw error
  }
}

async function readOne(file: string, name: string, disk: Disk): Promise<RawFile> {
  try {
    const bytes = await readWhole(file, { maxBytes: MAX_FILE_BYTES, disk })
    const digest = createHash('sha256').update(bytes).digest('hex')
    return { name, bytes, problem: null, digest }
  } catch (error) {
    if (codeOf(error) === 'TOO_LARGE') return unread(name, 'is larger than 1 MiB')
    if (codeOf(error) === 'NOT_A_FILE') return unread(name, 'is not a file')
    return unread(name, `cannot be read: ${describeFileFault(error)}`)
  }
}

function unread(name: string, problem: string): RawFile {
  return { name, bytes: null, problem, digest: null }
}

function ignoredFile(dir: string, name: string, message: string): PolicyFault {
  return faultOf(`${dir}/${name}`, message)
}

function faultOf(file: string, message: string): PolicyFault {
  return { file, pointer: '', line: null, column: null, message }
}

/** Explicit, because a digit would sort before `_global.json`. */
function byName(a: RawFile, b: RawFile): number {
  if (isGlobal(a.name) !== isGlobal(b.name)) return isGlobal(a.name) ? -1 : 1
  return a.name < b.name ? -1 : 1
}

function digestOf(
  files: readonly RawFile[],
  ignored: readonly PolicyFault[],
  problem: PolicyFault | null,
): string {
  const wrong = problem === null ? null : `${problem.file}: ${problem.message}`
  const notes = [wrong, ...ignored.map(({ file }) => file)]
  const hash = createHash('sha256').update(JSON.stringify(notes))
  for (const { name, problem, digest } of files)
    hash.update(JSON.stringify([name, digest, problem]))
  return hash.digest('hex')
}
