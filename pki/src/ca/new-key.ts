/** A new key of a CA, and the content of its file: encrypted, or in a token (PKCS #11). */
import type { KeyObject } from 'node:crypto'
import type { Secret } from '@clawmesh/proto'
import { isTokenKeyFile, parseTokenKeyFile, type TokenUri } from '@clawmesh/proto/pkcs11'
import type { SigningKey } from '../x509/signing-key.ts'
import { encryptPrivateKey } from './encrypted-key.ts'
import { generateCaKeys } from './make-intermediate.ts'
import { makeTokenKey } from './token-key.ts'

export interface NewKey {
  readonly publicKey: KeyObject
  readonly privateKey: SigningKey
  /** Content of the file. */
  readonly file: string
}

export interface NewKeyOptions {
  /** The token; null: the key is a file. */
  readonly token: string | TokenUri | null
  readonly passphrase: Secret
  readonly keyIterations?: number | undefined
}

/** @throws MeshError MESH_HSM_* */
export async function newKey(
  kind: 'root' | 'intermediate',
  { token, passphrase, keyIterations }: NewKeyOptions,
): Promise<NewKey> {
  if (token !== null) return makeTokenKey(token, `clawmesh ${kind} CA`)
  const keys = generateCaKeys()
  return { ...keys, file: await encryptPrivateKey(keys.privateKey, passphrase, keyIterations) }
}

/** The token of a key, from its file; null when it is an encrypted key. @throws MeshError MESH_HSM_INVALID */
export function tokenOf(file: string): TokenUri | null {
  return isTokenKeyFile(file) ? parseTokenKeyFile(file, 'the key of the CA').uri : null
}
