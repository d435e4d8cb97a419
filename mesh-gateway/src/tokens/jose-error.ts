/** Maps jose's errors for a token that does not verify to error codes of the mesh. */
import { type ErrorCode, MeshError } from '@clawmesh/proto'
import { errors } from 'jose'
import { earlyToken, expiredToken } from './describe-times.ts'

/** By class, never by message. */
export function toMeshError(error: unknown, nowMs: number): MeshError {
  if (error instanceof MeshError) return error
  const of = (code: ErrorCode) => new MeshError(code, undefined, { cause: error })
  if (error instanceof errors.JWSSignatureVerificationFailed) return of('MESH_TOKEN_SIGNATURE')
  if (error instanceof errors.JOSEAlgNotAllowed) return of('MESH_TOKEN_ALGORITHM')
  if (error instanceof errors.JWTExpired)
    return expiredToken(error.payload.exp ?? null, nowMs, error)
  if (error instanceof errors.JWTClaimValidationFailed) {
    // the claim is present with another value; a missing claim means a malformed token
    if (error.reason !== 'check_failed') return of('MESH_TOKEN_MALFORMED')
    if (error.claim === 'aud') return of('MESH_TOKEN_AUDIENCE')
    if (error.claim === 'typ')
      return new MeshError(
        'MESH_TOKEN_MALFORMED',
        'the token is of another kind, or of an older gateway',
        {
          cause: error,
        },
      )
    if (error.claim === 'iss') return of('MESH_TOKEN_ISSUER')
    if (error.claim === 'nbf') return earlyToken(error.payload.nbf ?? null, nowMs, error)
  }
  return of('MESH_TOKEN_MALFORMED')
}
