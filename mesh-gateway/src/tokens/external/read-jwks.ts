/**
 * Reads a JWKS (RFC 7517) of an external issuer, without trusting its quality: keys that are weak, private, slow or of
 * another kind are skipped, and only the needed members of the others are kept.
 */
import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import type { JWK } from 'jose'
import { issuerUnavailable } from './issuer-unavailable.ts'

export interface ReadJwks {
  /** At least one. */
  readonly keys: readonly JWK[]
  /** The reasons for which keys were skipped, without duplicates. */
  readonly leftOut: readonly string[]
  /** Equal if and only if the keys are equal. */
  readonly digest: string
}

interface Kind {
  readonly kty: string
  readonly crv?: string
}

const RSA: Kind = { kty: 'RSA' }
const ED25519: Kind = { kty: 'OKP', crv: 'Ed25519' }
const KINDS: Readonly<Record<string, Kind>> = Object.freeze({
  ...{ RS256: RSA, RS384: RSA, RS512: RSA, PS256: RSA, PS384: RSA, PS512: RSA },
  ES256: { kty: 'EC', crv: 'P-256' },
  ES384: { kty: 'EC', crv: 'P-384' },
  ES512: { kty: 'EC', crv: 'P-521' },
  ...{ EdDSA: ED25519, Ed25519: ED25519 },
})
const SECRET_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv']
const MAX_KEYS = 100
const MAX_KID = 256
const LEAST_RSA_BITS = 2048
/** A larger key is no safer in practice, and slows down all requests. */
const MAX_RSA_BITS = 8192
const MAX_RSA_EXPONENT = 2n ** 32n

/** @throws MeshError MESH_TOKEN_ISSUER_UNAVAILABLE when it contains no usable key */
export function readJwks(text: string, algorithms: readonly string[]): ReadJwks {
  const listed = listOf(text)
  const keys: JWK[] = []
  const leftOut = new Set<string>()
  for (const one of listed) {
    const key = usableKey(one, algorithms)
    if (typeof key === 'string') leftOut.add(key)
    else keys.push(key)
  }
  if (keys.length === 0)
    throw issuerUnavailable(
      `its JWKS holds no key that can be used${leftOut.size === 0 ? '' : `: ${[...leftOut].join('; ')}`}`,
    )
  const content = keys.map((key) => JSON.stringify(key)).toSorted()
  const digest = createHash('sha256').update(content.join('\n')).digest('base64')
  return { keys, leftOut: [...leftOut], digest }
}

function listOf(text: string): readonly unknown[] {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    // without the cause, which would quote the answer
    throw issuerUnavailable('its JWKS is not JSON')
  }
  const keys: unknown = typeof json === 'object' && json !== null ? Reflect.get(json, 'keys') : null
  if (!Array.isArray(keys)) throw issuerUnavailable('its JWKS has no list of keys')
  if (keys.length > MAX_KEYS) throw issuerUnavailable(`its JWKS has more than ${MAX_KEYS} keys`)
  return keys
}

/** The key, or why it is skipped. */
function usableKey(value: unknown, algorithms: readonly string[]): JWK | string {
  if (typeof value !== 'object' || value === null) return 'one is no object'
  const member = (name: string): unknown =>
    Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined
  // a published private key belongs to everybody
  if (SECRET_MEMBERS.some((name) => member(name) !== undefined))
    return 'one holds private or secret members'
  const { kid, use, operations, alg } = {
    kid: member('kid'),
    use: member('use'),
    operations: member('key_ops'),
    alg: member('alg'),
  }
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > MAX_KID))
    return 'one has a kid that is no short text'
  if (use !== undefined && use !== 'sig') return 'one is not for signatures'
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify')))
    return 'one is not for signatures'
  const fitting = algorithms.filter((one) => {
    const kind = KINDS[one]
    return kind?.kty === member('kty') && (kind?.crv === undefined || kind.crv === member('crv'))
  })
  if (fitting.length === 0 || (alg !== undefined && !fitting.some((one) => one === alg)))
    return 'one is for no algorithm that is accepted'
  const publicKey = importKey(value)
  if (publicKey === null) return 'one is damaged'
  const weakness = weaknessOf(publicKey)
  if (weakness !== null) return weakness
  return {
    ...publicKey.export({ format: 'jwk' }),
    ...(typeof kid === 'string' ? { kid } : {}),
    ...(typeof alg === 'string' ? { alg } : {}),
  }
}

function importKey(value: object): KeyObject | null {
  const picked: JsonWebKey = {}
  for (const name of ['kty', 'crv', 'n', 'e', 'x', 'y']) {
    const part: unknown = Reflect.get(value, name)
    if (typeof part === 'string') picked[name] = part
  }
  try {
    return createPublicKey({ key: picked, format: 'jwk' })
  } catch {
    // members that are missing, damaged or not on the curve; its issuer must find out which
    return null
  }
}

function weaknessOf({ asymmetricKeyDetails }: KeyObject): string | null {
  const { modulusLength: bits, publicExponent: exponent } = asymmetricKeyDetails ?? {}
  if (bits === undefined) return null
  if (bits < LEAST_RSA_BITS) return `one is an RSA key of less than ${LEAST_RSA_BITS} bits`
  if (bits > MAX_RSA_BITS) return `one is an RSA key of more than ${MAX_RSA_BITS} bits`
  const sound = exponent !== undefined && exponent >= 3n && exponent % 2n === 1n
  return sound && exponent < MAX_RSA_EXPONENT
    ? null
    : 'one is an RSA key with an exponent that nobody uses'
}
