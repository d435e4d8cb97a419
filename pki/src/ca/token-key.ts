/** Keys of a CA in a token (PKCS #11): a file with the URI and the public key is in the place of the encrypted key. */
import { createRequire } from 'node:module'
import {
  formatTokenKeyFile,
  parseTokenKeyFile,
  parseTokenUri,
  type TokenUri,
  tokenOnce,
} from '@clawmesh/proto/pkcs11'
import { integer, sequence } from '../der/write.ts'
import type { TokenKey } from '../x509/signing-key.ts'

export interface NewTokenKey {
  readonly publicKey: TokenKey['publicKey']
  readonly privateKey: TokenKey
  /** Content of the file that stands for it. */
  readonly file: string
}

/** @param uri as `pkcs11:token=…?module-path=…&pin-source=file:…`. @throws MeshError MESH_HSM_* */
export function makeTokenKey(uri: string | TokenUri, label: string): NewTokenKey {
  const token = typeof uri === 'string' ? parseTokenUri(uri) : uri
  const { id, publicKey } = tokenOnce(token, pkcs11Library()).generate(label)
  const file = formatTokenKeyFile({ uri: token, id, publicKey, secret: null })
  return { publicKey, privateKey: readTokenKey(file, label), file }
}

/** @param name for messages. @throws MeshError MESH_HSM_INVALID */
export function readTokenKey(text: string, name: string): TokenKey {
  const { uri, id, publicKey } = parseTokenKeyFile(text, name)
  const once = tokenOnce(uri, pkcs11Library())
  return { publicKey, sign: (data) => toDer(once.sign(id, publicKey, data)) }
}

/** From r and s, 32 bytes each (RFC 3279, section 2.2.3). */
function toDer(signature: Buffer): Buffer {
  return sequence(
    integer(unsigned(signature.subarray(0, 32))),
    integer(unsigned(signature.subarray(32))),
  )
}

/** The content of an INTEGER: minimal, and positive. */
function unsigned(bytes: Buffer): Buffer {
  // where all bytes are 0 the index is -1, and the last one remains
  const minimal = bytes.subarray(bytes.findIndex((byte) => byte !== 0))
  return (minimal[0] ?? 0) < 0x80 ? minimal : Buffer.concat([Buffer.alloc(1), minimal])
}

/** It is not installed with this package: most CAs need none. Its absence is reported when it is needed. */
function pkcs11Library(): string {
  try {
    return createRequire(import.meta.url).resolve('pkcs11js')
  } catch {
    return 'pkcs11js'
  }
}
