/**
 * Verifies tokens that this gateway signed: ES256 by a key of the ring, type, issuer, times, and the shape of every claim.
 * What has been verified is remembered for a minute, never past its expiry and never across a change of keys.
 */
import { hash } from 'node:crypto'
import { type ErrorCode, MeshError } from '@clawmesh/proto'
import { errors, type JWTHeaderParameters, type JWTPayload, jwtVerify } from 'jose'
import type { KeyRing, VerifyingKey } from './key-ring.ts'

export interface SignedTokenVerifierOptions<Claims extends TimedClaims> {
  readonly keyRing: Pick<KeyRing, 'verifying' | 'onChange'>
  /** What `iss` must be. */
  readonly issuer: string
  /** What `typ` of the header must be, so that one kind of token never passes for another; null where the audience tells them apart. */
  readonly typ: string | null
  /** What `aud` must be; null where `parse` or the caller judges it. */
  readonly audience: string | null
  readonly requiredClaims: readonly string[]
  /** The claims, shape proven. @throws MeshError MESH_TOKEN_MALFORMED */
  readonly parse: (payload: JWTPayload) => Claims
  /** How far clocks may differ, in milliseconds. Default 30,000. */
  readonly skewMs?: number
  /** How long a verified token is remembered, in milliseconds. Default 60,000; 0 remembers none. */
  readonly cacheMs?: number
  /** Default 10,000 tokens. */
  readonly cacheSize?: number
  /** Told the seconds of each verification that was not remembered. */
  readonly onVerified?: (seconds: number) => void
  /** The clock, milliseconds since the epoch. Default the system's. */
  readonly now?: () => number
}

export interface SignedTokenVerifier<Claims> {
  /** The claims at once when the token is remembered, otherwise a promise. @throws MeshError MESH_TOKEN_*, either way */
  verify(token: string): Claims | Promise<Claims>
  /** Forgets what is remembered and stops following the key ring. */
  close(): void
}

interface TimedClaims {
  /** Seconds since the epoch. */
  readonly exp: number
}

interface Remembered<Claims> {
  readonly claims: Claims
  readonly untilMs: number
}

/** Longer than any token that is issued; what is longer is not looked at. */
export const MAX_TOKEN_LENGTH = 8192

export function createSignedTokenVerifier<Claims extends TimedClaims>(
  options: SignedTokenVerifierOptions<Claims>,
): SignedTokenVerifier<Claims> {
  const { keyRing, skewMs = 30_000, cacheMs = 60_000, cacheSize = 10_000, now = Date.now } = options
  const remembered = new Map<string, Remembered<Claims>>()
  const underWay = new Map<string, Promise<Claims>>()
  let epoch = 0
  const forget = () => {
    epoch += 1
    remembered.clear()
    underWay.clear()
  }
  const stopFollowing = keyRing.onChange(forget)

  const remember = (digest: string, claims: Claims, key: VerifyingKey) => {
    const untilMs = Math.min(now() + cacheMs, claims.exp * 1000, key.untilMs ?? Infinity)
    if (untilMs <= now() || cacheSize === 0) return
    if (remembered.size >= cacheSize) {
      const oldest = remembered.keys().next()
      if (!oldest.done) remembered.delete(oldest.value)
    }
    remembered.set(digest, { claims, untilMs })
  }

  const verifyAnew = async (token: string, digest: string): Promise<Claims> => {
    const began = performance.now()
    const startedIn = epoch
    let key: VerifyingKey | null = null
    const payload = await jwtVerify(
      token,
      (header) => {
        key = chooseKey(header, keyRing)
        return key.publicKey
      },
      {
        algorithms: ['ES256'],
        ...(options.typ === null ? {} : { typ: options.typ }),
        issuer: options.issuer,
        ...(options.audience === null ? {} : { audience: options.audience }),
        clockTolerance: skewMs / 1000,
        currentDate: new Date(now()),
        requiredClaims: [...options.requiredClaims],
      },
    ).then(
      (result) => result.payload,
      (error: unknown) => {
        throw toMeshError(error)
      },
    )
    const claims = options.parse(payload)
    // keys that changed meanwhile have emptied the memory: what they verified must not fill it again
    if (key !== null && epoch === startedIn) remember(digest, claims, key)
    options.onVerified?.((performance.now() - began) / 1000)
    return claims
  }

  return {
    verify(token) {
      if (token.length > MAX_TOKEN_LENGTH)
        throw new MeshError('MESH_TOKEN_MALFORMED', 'the token is too long')
      const digest = hash('sha256', token, 'base64')
      const known = remembered.get(digest)
      if (known !== undefined) {
        if (now() < known.untilMs) return known.claims
        remembered.delete(digest)
      }
      const joined = underWay.get(digest)
      if (joined !== undefined) return joined
      const promise = verifyAnew(token, digest).finally(() => {
        if (underWay.get(digest) === promise) underWay.delete(digest)
      })
      underWay.set(digest, promise)
      return promise
    },
    close() {
      stopFollowing()
      forget()
    },
  }
}

function chooseKey(header: JWTHeaderParameters, keyRing: Pick<KeyRing, 'verifying'>): VerifyingKey {
  if (header.crit !== undefined)
    throw new MeshError('MESH_TOKEN_MALFORMED', 'the token demands extensions (crit)')
  const key = typeof header.kid === 'string' ? keyRing.verifying(header.kid) : null
  if (key === null) throw new MeshError('MESH_TOKEN_KEY_UNKNOWN')
  return key
}

/** By class, never by words. */
function toMeshError(error: unknown): MeshError {
  if (error instanceof MeshError) return error
  const of = (code: ErrorCode) => new MeshError(code, undefined, { cause: error })
  if (error instanceof errors.JWSSignatureVerificationFailed) return of('MESH_TOKEN_SIGNATURE')
  if (error instanceof errors.JOSEAlgNotAllowed) return of('MESH_TOKEN_ALGORITHM')
  if (error instanceof errors.JWTExpired) return of('MESH_TOKEN_EXPIRED')
  if (error instanceof errors.JWTClaimValidationFailed) {
    // a claim that is there and says something else; one that is missing is a malformed token
    if (error.reason !== 'check_failed') return of('MESH_TOKEN_MALFORMED')
    if (error.claim === 'aud') return of('MESH_TOKEN_AUDIENCE')
    if (error.claim === 'iss') return of('MESH_TOKEN_ISSUER')
    if (error.claim === 'nbf') return of('MESH_TOKEN_NOT_YET_VALID')
  }
  return of('MESH_TOKEN_MALFORMED')
}
