/** Opens the keys of a CA, and proves that they match their certificates. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MeshError, type Secret } from '@clawmesh/proto'
import { isTokenKeyFile } from '@clawmesh/proto/pkcs11'
import { fileFault, hasErrorCode } from '../disk/file-fault.ts'
import { keyFits, type SigningKey } from '../x509/signing-key.ts'
import { readCaFile, readStagedFile } from './ca-files.ts'
import { decryptPrivateKey } from './encrypted-key.ts'
import { type LoadedCa, torn } from './load-ca.ts'
import { readTokenKey } from './token-key.ts'

/** @throws MeshError MESH_PKI_INVALID, MESH_PKI_PASSPHRASE. */
export async function openIntermediateKey(ca: LoadedCa, passphrase: Secret): Promise<SigningKey> {
  const name = 'intermediate.key'
  const fits = (key: SigningKey) => keyFits(ca.intermediate, key)
  const key = keyIn(await readCaFile(ca.dir, name), passphrase, name)
  if (fits(key)) return key
  // a renewal with a new key is running, or was killed before the key moved into place
  const staged = await readStagedFile(ca.dir, name)
  const next = staged === null ? null : keyIn(staged, passphrase, name)
  if (next !== null && fits(next)) return next
  throw torn(ca.dir, name)
}

/** A key below the directory of the CA. @throws MeshError MESH_PKI_INVALID, MESH_PKI_PASSPHRASE. */
export async function openKey(dir: string, name: string, passphrase: Secret): Promise<SigningKey> {
  const pem = await readFile(join(dir, name), 'utf8').catch((error: unknown) => {
    throw fileFault('MESH_PKI_INVALID', join(dir, name), error)
  })
  return keyIn(pem, passphrase, name)
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
): Promise<SigningKey | null> {
  const path = file ?? join(dir, 'root.key')
  const pem = await readFile(path, 'utf8').catch((error: unknown) => {
    if (file === undefined && hasErrorCode(error, 'ENOENT')) return null
    throw fileFault('MESH_PKI_INVALID', path, error)
  })
  if (pem === null) return null
  const key = open(pem, path, passphrase, file === undefined)
  if (key === null) return null
  if (!keyFits(root, key))
    throw new MeshError('MESH_PKI_INVALID', `${path} is not the key of root.crt`, {
      hint: 'name the key of this root: --root-key FILE',
    })
  return key
}

function open(pem: string, path: string, passphrase: Secret, optional: boolean): SigningKey | null {
  try {
    return keyIn(pem, passphrase, path)
  } catch (error) {
    if (optional && error instanceof MeshError && error.code === 'MESH_PKI_PASSPHRASE') return null
    throw error
  }
}

function keyIn(text: string, passphrase: Secret, name: string): SigningKey {
  return isTokenKeyFile(text) ? readTokenKey(text, name) : decryptPrivateKey(text, passphrase, name)
}

/** False when the keys of the CA are in a token, and have a PIN. @throws MeshError MESH_PKI_INVALID */
export async function hasPassphrase(dir: string, rootKeyFile: string | null): Promise<boolean> {
  if (!isTokenKeyFile(await readCaFile(dir, 'intermediate.key'))) return true
  if (rootKeyFile === null) return false
  const text = await readFile(rootKeyFile, 'utf8').catch((error: unknown) => {
    throw fileFault('MESH_PKI_INVALID', rootKeyFile, error)
  })
  return !isTokenKeyFile(text)
}
