/** Reads the files at a path: an identity directory, the directory of a CA, or one PEM file. */
import { readdir, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type ErrorCode, MeshError } from '@clawmesh/proto'
import { fileFault, hasErrorCode } from '../disk/file-fault.ts'
import { readBounded } from '../disk/read-bounded.ts'

export interface PemFiles {
  readonly kind: 'identity' | 'ca' | 'file'
  /** PEM: the leaf first. For a CA, the intermediate. */
  readonly certificates: string
  /** PEM, encrypted or not; null when there is none. */
  readonly key: string | null
  /** PEM; null when there are none. */
  readonly roots: string | null
}

/** Enough for bundles of a few hundred certificates. */
export const MAX_PEM_BYTES = 1_048_576

/** @param hint when there is nothing at the path. @throws MeshError with `code` when nothing can be read. */
export async function readPemFiles(
  path: string,
  code: ErrorCode = 'MESH_PKI_INVALID',
  hint?: string,
): Promise<PemFiles> {
  const found = await stat(path).catch((error: unknown) => {
    throw fileFault(code, path, error, hint)
  })
  if (!found.isDirectory())
    return { kind: 'file', certificates: await read(path), key: null, roots: null }
  const dir = await generationOf(path)
  const names = await readdir(dir).catch((error: unknown) => {
    throw fileFault('MESH_PKI_INVALID', dir, error)
  })
  const optional = (name: string) => (names.includes(name) ? read(join(dir, name)) : null)
  if (names.includes('tls.crt'))
    return {
      kind: 'identity',
      certificates: await read(join(dir, 'tls.crt')),
      key: await optional('tls.key'),
      roots: await optional('ca.crt'),
    }
  if (names.includes('intermediate.crt'))
    return {
      kind: 'ca',
      certificates: await read(join(dir, 'intermediate.crt')),
      key: await optional('intermediate.key'),
      roots: await optional('root.crt'),
    }
  throw new MeshError('MESH_PKI_INVALID', `${path} holds neither tls.crt nor a CA`, {
    hint: 'name a directory that `mesh-pki issue` or `mesh-pki init` wrote, or a PEM file',
  })
}

/** Resolves `..data` once, so that all files are of one generation. */
async function generationOf(dir: string): Promise<string> {
  return realpath(join(dir, '..data')).catch((error: unknown) => {
    if (hasErrorCode(error, 'ENOENT')) return dir
    throw fileFault('MESH_PKI_INVALID', dir, error)
  })
}

function read(path: string): Promise<string> {
  return readBounded(path, MAX_PEM_BYTES, 'MESH_PKI_INVALID')
}
