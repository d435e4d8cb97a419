/**
 * Words the errors about the times of a token with a valid signature, in numbers: they show whether the token is old or
 * a clock is wrong.
 */
import { type ErrorCode, MeshError } from '@clawmesh/proto'
import { span } from '../text/time-span.ts'

/** @param exp seconds since the epoch; null when unknown */
export function expiredToken(exp: number | null, nowMs: number, cause: unknown): MeshError {
  const message = exp === null ? undefined : `the token expired ${inWords(nowMs / 1000 - exp)} ago`
  return of('MESH_TOKEN_EXPIRED', message, cause)
}

/** @param nbf seconds since the epoch; null when unknown */
export function earlyToken(nbf: number | null, nowMs: number, cause: unknown): MeshError {
  if (nbf === null) return of('MESH_TOKEN_NOT_YET_VALID', undefined, cause)
  const ahead = inWords(nbf - nowMs / 1000)
  const message = `the token is valid in ${ahead} only: the clock that it was made by is ${ahead} ahead of this gateway's`
  return of('MESH_TOKEN_NOT_YET_VALID', message, cause)
}

/** Of seconds, rounded: the time that the verifying took is no part of it. */
function inWords(seconds: number): string {
  return span(Math.max(0, Math.round(seconds)) * 1000)
}

function of(code: ErrorCode, message: string | undefined, cause: unknown): MeshError {
  return new MeshError(code, message, { cause })
}
