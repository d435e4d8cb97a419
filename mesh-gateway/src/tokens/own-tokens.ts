/**
 * Verifies tokens that this gateway signed: ES256 by a key of the ring, type, issuer, times, and the shape of every
 * claim.
 */
import { MeshError } from '@clawmesh/proto'
import { type JWTHeaderParameters, type JWTPayload, jwtVerify } from 'jose'
import { earlyToken } from './describe-times.ts'
import { toMeshError } from './jose-error.ts'
import type { KeyRing, VerifyingKey } from './key-ring.ts'
import type { TokenSource } from './token-memory.ts'

export interface RingSourceOptions<Claims> {
  readonly keyRing: Pick<KeyRing, 'verifying' | 'onChange'>
  /** The required `iss`. */
  readonly issuer: string
  /** The required `typ` of the header, so that one kind of token never passes for another. */
  readonly typ: string
  /** The required `aud`; null where `parse` or the caller checks it. */
  readonly audience: string | null
  readonly requiredClaims: readonly string[]
  /** Parses the claims by their shape. @param kid the key that signed them. @throws MeshError MESH_TOKEN_MALFORMED */
  readonly parse: (payload: JWTPayload, kid: string) => Claims
  /**
   * The longest life of a token, in milliseconds, read for each, so that a leaked key cannot sign long-lived ones.
   * Default 3,600,000.
   */
  readonly maxTtlMs?: () => number
  /** Tolerance for clock differences, in milliseconds. Default 30,000. */
  readonly skewMs?: number
  /** Milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number
}

const MAX_TTL_MS = 3_600_000

export function createRingSource<Claims>(options: RingSourceOptions<Claims>): TokenSource<Claims> {
  const { keyRing, skewMs = 30_000, maxTtlMs = () => MAX_TTL_MS, now = Date.now } = options
  return {
    async verify(token) {
      let key: VerifyingKey | null = null
      const { payload, kid } = await jwtVerify(
        token,
        (header) => {
          key = chooseKey(header, keyRing)
          return key.publicKey
        },
        {
          algorithms: ['ES256'],
          typ: options.typ,
          issuer: options.issuer,
          ...(options.audience === null ? {} : { audience: options.audience }),
          clockTolerance: skewMs / 1000,
          currentDate: new Date(now()),
          requiredClaims: [...options.requiredClaims],
        },
      ).then(
        (result) => ({ payload: result.payload, kid: result.protectedHeader.kid ?? '' }),
        (error: unknown) => {
          throw toMeshError(error, now())
        },
      )
      checkLife(payload, maxTtlMs(), skewMs, now())
      checkIssued(payload, skewMs, now())
      return { claims: options.parse(payload, kid), untilMs: endOf(key) }
    },
    verifies: (kid) => keyRing.verifying(kid) !== null,
    onChange: (listener) => keyRing.onChange(listener),
  }
}

/**
 * Checks the life by the token's `iat` and by the clock, since a leaked key can sign any `iat`. @throws MeshError
 * MESH_TOKEN_LIFETIME
 */
function checkLife(
  { iat = 0, exp = Infinity }: JWTPayload,
  maxTtlMs: number,
  skewMs: number,
  nowMs: number,
): void {
  const fromIssueMs = (exp - iat) * 1000
  const fromNowMs = exp * 1000 - nowMs - skewMs
  // times are whole seconds: a token with the longest life may round up
  if (Math.max(fromIssueMs, fromNowMs) <= maxTtlMs + 1000) return
  throw new MeshError(
    'MESH_TOKEN_LIFETIME',
    `the token lives longer than the ${maxTtlMs / 1000} seconds that are accepted`,
    {
      hint: 'get a fresh one; tokens.maxTtlMs, of delegation tokens.delegationTtlMs, may be shorter than it was',
    },
  )
}

/**
 * Checks that the token was not issued in the future, which jose does not. External issuers' tokens are held to the same.
 * @throws MeshError MESH_TOKEN_NOT_YET_VALID
 */
function checkIssued({ iat = 0 }: JWTPayload, skewMs: number, nowMs: number): void {
  if (iat * 1000 > nowMs + skewMs) throw earlyToken(iat, nowMs, undefined)
}

/** Without a key nothing was verified, and nothing is cached. */
function endOf(key: VerifyingKey | null): number {
  return key === null ? 0 : (key.untilMs ?? Infinity)
}

function chooseKey(header: JWTHeaderParameters, keyRing: Pick<KeyRing, 'verifying'>): VerifyingKey {
  if (header.crit !== undefined)
    throw new MeshError('MESH_TOKEN_MALFORMED', 'the token demands extensions (crit)')
  const key = typeof header.kid === 'string' ? keyRing.verifying(header.kid) : null
  if (key === null) throw new MeshError('MESH_TOKEN_KEY_UNKNOWN')
  return key
}
