/**
 * Reads tls.crt, tls.key and ca.crt of one generation: each link is resolved once, and once more after reading,
 * so that a swap of `..data` or `current` in between is noticed and read again.
 */
import { createHash } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { accessHint, MeshError, Secret } from '@clawmesh/proto'
import { createDisk, type Disk } from '../files/disk.ts'
import { describeFileFault, FileFault } from '../files/file-fault.ts'
import { readWhole } from '../files/read-whole.ts'

export const IDENTITY_FILES = ['tls.crt', 'tls.key', 'ca.crt'] as const

export interface IdentityFiles {
  readonly certificate: string
  readonly privateKey: Secret<string>
  readonly roots: string
  /** SHA-256 of all three: what tells one content from another. */
  readonly digest: string
}

type FileName = (typeof IDENTITY_FILES)[number]
/** In the order of IDENTITY_FILES. */
type OfEach<T> = readonly [certificate: T, privateKey: T, roots: T]

const MAX_BYTES: Readonly<Record<FileName, number>> = {
  'tls.crt': 256 * 1024,
  'tls.key': 64 * 1024,
  'ca.crt': 1024 * 1024,
}
const ATTEMPTS = 5

/** @throws MeshError MESH_IDENTITY_UNREADABLE */
export async function readIdentityFiles(
  dir: string,
  disk: Disk = createDisk(),
): Promise<IdentityFiles> {
  let failure: unknown
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    try {
      const before = await resolveAll(dir, disk)
      const [certificate, privateKey, roots] = await readAll(before, disk)
      const after = await resolveAll(dir, disk)
      if (before.every((path, index) => path === after[index])) {
        const hash = createHash('sha256')
        for (const content of [certificate, privateKey, roots])
          hash.update(`${content.length}:`).update(content)
        return {
          certificate: certificate.toString('latin1'),
          privateKey: new Secret(privateKey.toString('latin1')),
          roots: roots.toString('latin1'),
          digest: hash.digest('hex'),
        }
      }
    } catch (error) {
      failure = error
      // a file that vanished between two steps is a swap; anything else will not get better
      if (!isMissing(error)) break
    }
  }
  if (failure instanceof MeshError) throw failure
  throw unreadable(dir, failure, isMissing(failure) && (await isMissingWhole(dir, disk)))
}

async function isMissingWhole(dir: string, disk: Disk): Promise<boolean> {
  return await disk.run(dir, () => realpath(dir)).then(() => false, isMissing)
}

function resolveAll(dir: string, disk: Disk): Promise<OfEach<string>> {
  const resolve = (name: FileName) => {
    const path = join(dir, name)
    return disk.run(path, () => realpath(path))
  }
  const [certificate, privateKey, roots] = IDENTITY_FILES
  return Promise.all([resolve(certificate), resolve(privateKey), resolve(roots)])
}

function readAll(paths: OfEach<string>, disk: Disk): Promise<OfEach<Buffer>> {
  const [certificate, privateKey, roots] = paths
  return Promise.all([
    readOne(certificate, 'tls.crt', disk),
    readOne(privateKey, 'tls.key', disk),
    readOne(roots, 'ca.crt', disk),
  ])
}

async function readOne(path: string, name: FileName, disk: Disk): Promise<Buffer> {
  try {
    return await readWhole(path, { maxBytes: MAX_BYTES[name], disk })
  } catch (cause) {
    // of a disk that does not answer, every file says the same
    if (!(cause instanceof FileFault) || cause.code === 'NO_ANSWER') throw cause
    throw new MeshError('MESH_IDENTITY_UNREADABLE', `${name} is ${cause.message}`, { cause })
  }
}

function unreadable(dir: string, cause: unknown, whole: boolean): MeshError {
  const why = whole ? 'there is no such directory' : reasonOf(cause)
  return new MeshError('MESH_IDENTITY_UNREADABLE', `cannot read the identity in ${dir}: ${why}`, {
    cause,
    ...accessHint(cause),
  })
}

/** Names the file: of three, one is at fault most often. */
function reasonOf(cause: unknown): string {
  if (cause === undefined) return 'it keeps changing'
  const path = cause instanceof Error && 'path' in cause ? String(cause.path) : ''
  const name = IDENTITY_FILES.find((one) => one === basename(path))
  const why = describeFileFault(cause)
  if (why === 'ENOTDIR') return 'it is not a directory'
  if (name === undefined) return why
  return why === 'ENOENT' ? `there is no ${name}` : `${name}: ${why}`
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
