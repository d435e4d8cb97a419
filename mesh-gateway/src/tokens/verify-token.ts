/**
 * Verifies egress tokens: ES256 by a key of the ring, issuer, audience, times, and the shape of every claim.
 * What has been verified is remembered for a minute, never past its expiry and never across a change of keys.
 */
import { hash } from 'node:crypto'
import {
  EGRESS_AUDIENCE,
  type EgressClaims,
  type ErrorCode,
  MeshError,
  type SpiffeTemplate,
} from '@clawmesh/proto'
import { errors, type JWTHeaderParameters, jwtVerify } from 'jose'
import type { KeyRing, VerifyingKey } from './key-ring.ts'
import { parseEgressClaims } from './parse-claims.ts'

export interface TokenVerifierOptions {
  readonly keyRing: Pick<KeyRing, 'verifying' | 'onChange'>
  /** What `iss` must be. */
  readonly issuer: string
  readonly spiffe: SpiffeTemplate
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

export interface TokenVerifier {
  /** The claims at once when the token is remembered, otherwise a promise. @throws MeshError MESH_TOKEN_*, either way */
  verify(token: string): EgressClaims | Promise<EgressClaims>
  /** Forgets what is remembered and stops following the key ring. */
  close(): void
}

interface Remembered {
  readonly claims: EgressClaims
  readonly untilMs: number
}

/** Longer than any token that is issued; what is longer is not looked at. */
export const MAX_TOKEN_LENGTH = 8192

export function createTokenVerifier(options: TokenVerifierOptions): TokenVerifier {
  const { keyRing, skewMs = 30_000, cacheMs = 60_000, cacheSize = 10_000, now = Date.now } = options
  const remembered = new Map<string, Remembered>()
  const underWay = new Map<string, Promise<EgressClaims>>()
  let epoch = 0
  const forget = () => {
    epoch += 1
    remembered.clear()
    underWay.clear()
  }
  const stopFollowing = keyRing.onChange(forget)

  const remember = (digest: string, claims: EgressClaims, key: VerifyingKey) => {
    const untilMs = Math.min(now() + cacheMs, claims.exp * 1000, key.untilMs ?? Infinity)
    if (untilMs <= now() || cacheSize === 0) return
    if (remembered.size >= cacheSize) {
      const oldest = remembered.keys().next()
      if (!oldest.done) remembered.delete(oldest.value)
    }
    remembered.set(digest, { claims, untilMs })
  }

  const verifyAnew = async (token: string, digest: string): Promise<EgressClaims> => {
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
        issuer: options.issuer,
        audience: EGRESS_AUDIENCE,
        clockTolerance: skewMs / 1000,
        currentDate: new Date(now()),
        requiredClaims: ['exp', 'nbf', 'iat', 'sub', 'jti'],
      },
    ).then(
      (result) => result.payload,
      (error: unknown) => {
        throw toMeshError(error)
      },
    )
    const claims = parseEgressClaims(payload, options.spiffe)
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
