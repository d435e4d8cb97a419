/** Opens the keys of a CA, and proves that they match their certificates. */
import type { KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MeshError, type Secret } from '@clawmesh/proto'
import { fileFault, hasErrorCode } from '../disk/file-fault.ts'
import { readCaFile, readStagedFile } from './ca-files.ts'
import { decryptPrivateKey } from './encrypted-key.ts'
import { type LoadedCa, torn } from './load-ca.ts'

/** @throws MeshError MESH_PKI_INVALID, MESH_PKI_PASSPHRASE. */
export async function openIntermediateKey(ca: LoadedCa, passphrase: Secret): Promise<KeyObject> {
  const name = 'intermediate.key'
  const fits = (key: KeyObject) => ca.intermediate.x509.checkPrivateKey(key)
  const key = decryptPrivateKey(await readCaFile(ca.dir, name), passphrase, name)
  if (fits(key)) return key
  // a renewal with a new key is running, or was killed before the key moved into place
  const staged = await readStagedFile(ca.dir, name)
  const next = staged === null ? null : decryptPrivateKey(staged, passphrase, name)
  if (next !== null && fits(next)) return next
  throw torn(ca.dir, name)
}

/** A key below the directory of the CA. @throws MeshError MESH_PKI_INVALID, MESH_PKI_PASSPHRASE. */
export async function openKey(dir: string, name: string, passphrase: Secret): Promise<KeyObject> {
  const pem = await readFile(join(dir, name), 'utf8').catch((error: unknown) => {
    throw fileFault('MESH_PKI_INVALID', join(dir, name), error)
  })
  return decryptPrivateKey(pem, passphrase, name)
}

/**
 * The key of the root. Null when no file is given and root.key is not in the directory (as it should be), or has
 * another passphrase.
 * @throws MeshError MESH_PKI_INVALID, MESH_PKI_PASSPHRASE.
 */
export async function openRootKey(
  { dir, root }: LoadedCa,
  file: string | undefined,
  passphrase: Secret,
): Promise<KeyObject | null> {
  const path = file ?? join(dir, 'root.key')
  const pem = await readFile(path, 'utf8').catch((error: unknown) => {
    if (file === undefined && hasErrorCode(error, 'ENOENT')) return null
    throw fileFault('MESH_PKI_INVALID', path, error)
  })
  if (pem === null) return null
  const key = open(pem, path, passphrase, file === undefined)
  if (key === null) return null
  if (!root.x509.checkPrivateKey(key))
    throw new MeshError('MESH_PKI_INVALID', `${path} is not the key of root.crt`, {
      hint: 'name the key of this root: --root-key FILE',
    })
  return key
}

function open(pem: string, path: string, passphrase: Secret, optional: boolean): KeyObject | null {
  try {
    return decryptPrivateKey(pem, passphrase, path)
  } catch (error) {
    if (optional && error instanceof MeshError && error.code === 'MESH_PKI_PASSPHRASE') return null
    throw error
  }
}
