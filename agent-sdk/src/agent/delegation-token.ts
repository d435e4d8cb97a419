/**
 * The token that came with a task. The gateway made it and the gateway judges it: here it is only carried, and read for
 * when it ends, so that it is not presented where it could no longer help.
 */
import { Secret } from '@clawmesh/proto'

export interface DelegationToken {
  readonly token: Secret<string>
  /** Milliseconds since the epoch; infinite when the token does not say. */
  readonly expiresMs: number
}

export function readDelegationToken(token: string): DelegationToken {
  return Object.freeze({ token: new Secret(token), expiresMs: expiryOf(token) })
}

function expiryOf(token: string): number {
  try {
    const claims: unknown = JSON.parse(
      Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'),
    )
    const exp =
      typeof claims === 'object' && claims !== null && 'exp' in claims ? claims.exp : undefined
    return typeof exp === 'number' ? exp * 1000 : Number.POSITIVE_INFINITY
  } catch {
    // not a JWT as we know it: whether it holds, the gateway will say
    return Number.POSITIVE_INFINITY
  }
}
