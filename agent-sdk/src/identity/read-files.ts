/**
 * Reads tls.crt, tls.key and ca.crt of one generation: each link is resolved once, and once more after reading,
 * so that a swap of `..data` or `current` in between is noticed and read again.
 */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { open, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { MeshError, Secret } from '@clawmesh/proto'

export const IDENTITY_FILES = ['tls.crt', 'tls.key', 'ca.crt'] as const

export interface IdentityFiles {
  readonly certificate: string
  readonly privateKey: Secret<string>
  readonly roots: string
  /** SHA-256 of all three: what tells one content from another. */
  readonly digest: string
}

const MAX_BYTES: Readonly<Record<string, number>> = {
  'tls.crt': 256 * 1024,
  'tls.key': 64 * 1024,
  'ca.crt': 1024 * 1024,
}
const ATTEMPTS = 5

/** @throws MeshError MESH_IDENTITY_UNREADABLE */
export async function readIdentityFiles(dir: string): Promise<IdentityFiles> {
  let failure: unknown
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    try {
      const before = await resolveAll(dir)
      const [certificate, privateKey, roots] = await readAll(before)
      const after = await resolveAll(dir)
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
      if (codeOf(error) !== 'ENOENT') break
    }
  }
  if (failure instanceof MeshError) throw failure
  throw unreadable(dir, failure)
}

async function resolveAll(dir: string): Promise<string[]> {
  return Promise.all(IDENTITY_FILES.map((name) => realpath(join(dir, name))))
}

async function readAll(paths: readonly string[]): Promise<[Buffer, Buffer, Buffer]> {
  const [certificate, privateKey, roots] = await Promise.all(
    IDENTITY_FILES.map((name, index) => readLimited(paths[index] ?? '', name)),
  )
  if (certificate === undefined || privateKey === undefined || roots === undefined)
    throw new TypeError('three files were expected')
  return [certificate, privateKey, roots]
}

async function readLimited(path: string, name: string): Promise<Buffer> {
  // without O_NONBLOCK a named pipe would be waited for, for ever
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const max = MAX_BYTES[name] ?? 0
    const stat = await file.stat()
    if (!stat.isFile())
      throw new MeshError('MESH_IDENTITY_UNREADABLE', `${name} is not a regular file`)
    const buffer = Buffer.alloc(max + 1)
    let length = 0
    while (length < buffer.length) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length, length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    if (length > max)
      throw new MeshError('MESH_IDENTITY_UNREADABLE', `${name} is larger than ${max} bytes`)
    return buffer.subarray(0, length)
  } finally {
    await file.close()
  }
}

function unreadable(dir: string, cause: unknown): MeshError {
  const code = codeOf(cause) ?? 'it keeps changing'
  return new MeshError('MESH_IDENTITY_UNREADABLE', `cannot read the identity in ${dir}: ${code}`, {
    cause,
  })
}

function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
