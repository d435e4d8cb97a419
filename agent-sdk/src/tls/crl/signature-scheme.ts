/** The signature algorithms that a revocation list may have, and their parameters. What is weak or unknown is refused by name. */
import { constants, type KeyObject, verify } from 'node:crypto'
import { DER_TAG, DerError, expectDer, formatOid, readDer, readDerList } from '../der.ts'
import type { Crl } from './parse-crl.ts'

/** Type of key and hash, by the content of the OBJECT IDENTIFIER in hexadecimal. */
const SCHEMES: ReadonlyMap<string, readonly [type: string, hash: string | null]> = new Map([
  ['2a8648ce3d040302', ['ec', 'sha256']],
  ['2a8648ce3d040303', ['ec', 'sha384']],
  ['2a8648ce3d040304', ['ec', 'sha512']],
  ['2a864886f70d01010b', ['rsa', 'sha256']],
  ['2a864886f70d01010c', ['rsa', 'sha384']],
  ['2a864886f70d01010d', ['rsa', 'sha512']],
  ['2b6570', ['ed25519', null]],
])
const WEAK: ReadonlyMap<string, string> = new Map([
  ['2a864886f70d010104', 'MD5 with RSA'],
  ['2a864886f70d010105', 'SHA-1 with RSA'],
  ['2a8648ce3d0401', 'SHA-1 with ECDSA'],
])
const RSASSA_PSS = '2a864886f70d01010a'
const MGF1 = '2a864886f70d010108'
const HASHES: ReadonlyMap<string, readonly [hash: string, bytes: number]> = new Map([
  ['608648016503040201', ['sha256', 32]],
  ['608648016503040202', ['sha384', 48]],
  ['608648016503040203', ['sha512', 64]],
])

interface Pss {
  readonly hash: string
  readonly saltLength: number
}

/** Why signatures of this kind are not accepted, to be read after "a list"; null when they are. */
export function schemeFault({ algorithm, parameters }: Crl['signature']): string | null {
  if (SCHEMES.has(algorithm)) return null
  if (algorithm === RSASSA_PSS) {
    const pss = readPss(parameters)
    return typeof pss === 'string' ? `is signed by RSA-PSS with ${pss}` : null
  }
  const name = WEAK.get(algorithm) ?? `the algorithm ${formatOid(Buffer.from(algorithm, 'hex'))}`
  return `is signed by ${name}, which is not accepted`
}

/** Whether the key has made the signature of a list. */
export function isSignedBy(key: KeyObject, { signature }: Pick<Crl, 'signature'>): boolean {
  const { algorithm, parameters, signed, bytes } = signature
  if (algorithm === RSASSA_PSS) {
    const pss = readPss(parameters)
    if (typeof pss === 'string' || !permits(key, pss)) return false
    const padding = constants.RSA_PKCS1_PSS_PADDING
    return verify(pss.hash, signed, { key, padding, saltLength: pss.saltLength }, bytes)
  }
  const [type, hash = null] = SCHEMES.get(algorithm) ?? []
  if (type === undefined || key.asymmetricKeyType !== type) return false
  return verify(hash, signed, key, bytes)
}

/**
 * RSASSA-PSS-params (RFC 4055, section 3.1): one hash of SHA-2 for message and mask, a salt as long as the hash, trailer
 * 1. What is left out means SHA-1, and is refused so. The parameters, or what is wrong with them.
 */
function readPss(parameters: Uint8Array | null): Pss | string {
  try {
    return parsePss(parameters)
  } catch (error) {
    if (error instanceof DerError) return 'parameters that are not well-formed'
    throw error
  }
}

function parsePss(parameters: Uint8Array | null): Pss | string {
  if (parameters === null) return 'no parameters'
  const parts = new Map<number, Uint8Array>()
  for (const { tag, content } of readDerList(expectDer(readDer(parameters), DER_TAG.SEQUENCE))) {
    if (tag < 0xa0 || tag > 0xa3 || parts.has(tag)) throw new DerError('an unknown part')
    parts.set(tag, content)
  }
  const [hash, bytes = 0] = HASHES.get(algorithmOf(parts.get(0xa0)).id) ?? []
  if (hash === undefined) return 'a hash other than SHA-256, SHA-384 and SHA-512'
  const mask = algorithmOf(parts.get(0xa1))
  if (mask.id !== MGF1 || HASHES.get(algorithmOf(mask.parameters).id)?.[0] !== hash)
    return 'a mask that is not MGF1 with the same hash'
  const salt = parts.get(0xa2)
  const saltLength = salt === undefined ? 20 : smallInteger(salt)
  if (saltLength !== bytes) return 'a salt that is not as long as the hash'
  const trailer = parts.get(0xa3)
  if (trailer !== undefined && smallInteger(trailer) !== 1) return 'an unknown trailer'
  return { hash, saltLength }
}

function algorithmOf(bytes: Uint8Array | undefined): {
  readonly id: string
  readonly parameters: Uint8Array | undefined
} {
  if (bytes === undefined) return { id: '', parameters: undefined }
  const [id, parameters] = readDerList(expectDer(readDer(bytes), DER_TAG.SEQUENCE))
  const content = expectDer(id, DER_TAG.OID)
  return { id: Buffer.from(content).toString('hex'), parameters: parameters?.raw }
}

function smallInteger(bytes: Uint8Array): number {
  const content = expectDer(readDer(bytes), DER_TAG.INTEGER)
  const [value = 0x80] = content
  if (content.length !== 1 || value >= 0x80) throw new DerError('an integer is out of range')
  return value
}

/** A key that is for PSS only may say which hash and how long a salt (RFC 4055, section 1.2). */
function permits(key: KeyObject, { hash, saltLength }: Pss): boolean {
  if (key.asymmetricKeyType === 'rsa') return true
  if (key.asymmetricKeyType !== 'rsa-pss') return false
  const { hashAlgorithm = hash, mgf1HashAlgorithm = hash } = key.asymmetricKeyDetails ?? {}
  const least = key.asymmetricKeyDetails?.saltLength ?? 0
  return hashAlgorithm === hash && mgf1HashAlgorithm === hash && least <= saltLength
}
