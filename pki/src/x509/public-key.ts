/** The public keys that the mesh accepts, and their names. */
import { createPublicKey, type KeyObject } from 'node:crypto'

const CURVES: Readonly<Record<string, string>> = Object.freeze({
  prime256v1: 'P-256',
  secp384r1: 'P-384',
  secp521r1: 'P-521',
})

/** E.g. `EC P-256`, `RSA 2048`, `Ed25519`. */
export function describeKey(key: KeyObject): string {
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {}
  switch (key.asymmetricKeyType) {
    case 'ec':
      return `EC ${CURVES[namedCurve ?? ''] ?? namedCurve ?? 'of explicit parameters'}`
    case 'rsa':
      return `RSA ${modulusLength ?? 0}`
    case 'ed25519':
      return 'Ed25519'
    default:
      return (key.asymmetricKeyType ?? 'unknown').toUpperCase()
  }
}

/**
 * The key in its one normal form (uncompressed point, no unusual parameters), or null when it is not accepted. Accepted
 * are the keys that TLS 1.3 stacks have in common: EC P-256 and P-384, Ed25519, RSA 2048 to 4096 with exponent 65537.
 */
export function normalKey(key: KeyObject): KeyObject | null {
  const { namedCurve, modulusLength = 0, publicExponent } = key.asymmetricKeyDetails ?? {}
  const accepted =
    key.asymmetricKeyType === 'ed25519' ||
    (key.asymmetricKeyType === 'ec' &&
      (namedCurve === 'prime256v1' || namedCurve === 'secp384r1')) ||
    (key.asymmetricKeyType === 'rsa' &&
      modulusLength >= 2048 &&
      modulusLength <= 4096 &&
      publicExponent === 65537n)
  return accepted ? createPublicKey({ key: key.export({ format: 'jwk' }), format: 'jwk' }) : null
}
