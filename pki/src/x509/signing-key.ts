/** The private key of a CA: in memory, or in a token (PKCS #11) that signs with it. */
import { KeyObject, sign } from 'node:crypto'
import type { ParsedCertificate } from './parse-certificate.ts'

/** A P-256 key that never leaves its token. */
export interface TokenKey {
  readonly publicKey: KeyObject
  /** ECDSA with SHA-256, in DER. @throws MeshError MESH_HSM_* */
  sign(data: Buffer): Buffer
}

export type SigningKey = KeyObject | TokenKey

/** ECDSA with SHA-256, in DER. @throws MeshError MESH_HSM_* */
export function signWith(key: SigningKey, data: Buffer): Buffer {
  return key instanceof KeyObject ? sign('sha256', data, key) : key.sign(data)
}

export function keyFits(
  { x509, publicKey }: Pick<ParsedCertificate, 'x509' | 'publicKey'>,
  key: SigningKey,
): boolean {
  return key instanceof KeyObject ? x509.checkPrivateKey(key) : key.publicKey.equals(publicKey)
}
