/**
 * Private keys encrypted at rest: PKCS #8 under PBES2 with PBKDF2-HMAC-SHA256 and AES-256-CBC (RFC 8018), which
 * `openssl pkey` reads. node:crypto derives and encrypts; its own export would use only 2,048 iterations.
 */
import { createCipheriv, createPrivateKey, type KeyObject, pbkdf2, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { MeshError, type Secret } from '@clawmesh/proto'
import { OID } from '../der/oids.ts'
import { parsePem, toPem } from '../der/pem.ts'
import { integer, nullValue, octetString, oid, sequence } from '../der/write.ts'

/** Shorter ones are refused for a new CA. */
export const MIN_PASSPHRASE_LENGTH = 12

/** Recommended by OWASP for HMAC-SHA256 (Password Storage Cheat Sheet, 2023): about 0.1 s here. */
export const KEY_ITERATIONS = 600_000
/** The minimum recommended by RFC 8018 (section 4.2). */
export const LEAST_KEY_ITERATIONS = 1_000
const LABEL = 'ENCRYPTED PRIVATE KEY'
const derive = promisify(pbkdf2)

export async function encryptPrivateKey(
  key: KeyObject,
  passphrase: Secret,
  iterations = KEY_ITERATIONS,
): Promise<string> {
  const salt = randomBytes(16)
  const iv = randomBytes(16)
  const kek = await derive(Buffer.from(passphrase.reveal(), 'utf8'), salt, iterations, 32, 'sha256')
  const cipher = createCipheriv('aes-256-cbc', kek, iv)
  const plain = key.export({ type: 'pkcs8', format: 'der' })
  const encrypted = Buffer.concat([cipher.update(plain), cipher.final()])
  const prf = sequence(oid(OID.hmacWithSha256), nullValue())
  const kdf = sequence(
    oid(OID.pbkdf2),
    sequence(octetString(salt), integer(iterations), integer(32), prf),
  )
  const scheme = sequence(oid(OID.aes256Cbc), octetString(iv))
  const algorithm = sequence(oid(OID.pbes2), sequence(kdf, scheme))
  return toPem(LABEL, sequence(algorithm, octetString(encrypted)))
}

/** @throws MeshError MESH_PKI_INVALID when the file is no encrypted key, MESH_PKI_PASSPHRASE when it does not open. */
export function decryptPrivateKey(pem: string, passphrase: Secret, name: string): KeyObject {
  const [block, ...more] = parsePem(pem)
  if (block?.label !== LABEL || more.length > 0)
    throw new MeshError('MESH_PKI_INVALID', `${name} is not an encrypted private key`)
  try {
    return createPrivateKey({ key: toPem(LABEL, block.der), passphrase: passphrase.reveal() })
  } catch (cause) {
    throw new MeshError('MESH_PKI_PASSPHRASE', `the passphrase does not open ${name}`, { cause })
  }
}
