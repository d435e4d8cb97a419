/**
 * Verifies the tokens of one external issuer: a key of that issuer, an asymmetric algorithm, issuer, audience, times,
 * then its claims.
 */
import { type ErrorCode, MeshError } from '@clawmesh/proto'
import { errors, type JWTPayload, jwtVerify } from 'jose'
import type { ExternalIssuerConfig } from '../../config/external-issuers.ts'
import { toMeshError } from '../jose-error.ts'
import { type VerifiedEgressClaims, withGrounds } from '../token-grounds.ts'
import type { TokenSource } from '../token-memory.ts'
import type { IssuerKeys, KeptKeys } from './keep-keys.ts'
import type { MapClaims } from './map-claims.ts'

export interface ExternalSourceOptions {
  readonly issuer: ExternalIssuerConfig
  readonly keys: Pick<KeptKeys, 'current' | 'otherThan' | 'untilMs' | 'holds' | 'onChange'>
  readonly mapClaims: MapClaims
  /** Tolerance for clock differences, in milliseconds. */
  readonly skewMs: number
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

interface Signed {
  readonly payload: JWTPayload
  readonly kid: string | null
}

export function createExternalSource(
  options: ExternalSourceOptions,
): TokenSource<VerifiedEgressClaims> {
  const { issuer, keys, mapClaims, skewMs, now } = options

  const verifyBy = async ({ find }: IssuerKeys, token: string): Promise<Signed> => {
    const { payload, protectedHeader } = await jwtVerify(
      token,
      (header, jws) => {
        if (header.crit !== undefined)
          throw new MeshError('MESH_TOKEN_MALFORMED', 'the token demands extensions (crit)')
        return find(header, jws)
      },
      {
        algorithms: [...issuer.algorithms],
        issuer: issuer.issuer,
        audience: issuer.audience,
        clockTolerance: skewMs / 1000,
        currentDate: new Date(now()),
        requiredClaims: ['exp'],
      },
    )
    return { payload, kid: protectedHeader.kid ?? null }
  }

  return {
    async verify(token) {
      try {
        const first = await keys.current()
        const { payload, kid } = await verifyBy(first, token).catch(async (error: unknown) => {
          if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
          const others = await keys.otherThan(first)
          if (others === null) throw error
          return await verifyBy(others, token)
        })
        const mapped = await mapClaims(payload, token)
        const claims = withGrounds(mapped.claims, kid, skewMs, mapped.destinations)
        return { claims, untilMs: keys.untilMs() }
      } catch (error) {
        throw explain(error, issuer, now())
      }
    },
    verifies: (kid) => keys.holds(kid),
    onChange: (listener) => keys.onChange(listener),
  }
}

/** Words the error for a token that is not the gateway's own. */
function explain(
  cause: unknown,
  { algorithms, audience }: ExternalIssuerConfig,
  nowMs: number,
): MeshError {
  const of = (code: ErrorCode, message: string | undefined, hint: string) =>
    new MeshError(code, message, { cause, hint })
  if (cause instanceof errors.JWKSNoMatchingKey)
    return of(
      'MESH_TOKEN_KEY_UNKNOWN',
      'its issuer publishes no key that fits the token',
      'a key that is new to its JWKS is seen within 30 seconds',
    )
  if (cause instanceof errors.JWKSMultipleMatchingKeys)
    return of(
      'MESH_TOKEN_KEY_UNKNOWN',
      'its issuer publishes several keys that fit the token',
      'tokens must name their key by kid, and no two keys may share one',
    )
  const error = toMeshError(cause, nowMs)
  switch (error.code) {
    case 'MESH_TOKEN_ALGORITHM':
      return of(error.code, undefined, `its issuer is believed by ${algorithms.join(', ')}`)
    case 'MESH_TOKEN_AUDIENCE':
      return of(error.code, undefined, `tokens of its issuer must carry aud ${audience}`)
    case 'MESH_TOKEN_EXPIRED':
      return of(
        error.code,
        error.message,
        'get a fresh one of its issuer; if it is fresh, check the clocks',
      )
    case 'MESH_TOKEN_SIGNATURE':
      return of(error.code, undefined, 'get a fresh token of its issuer; this one was altered')
    default:
      return error
  }
}
