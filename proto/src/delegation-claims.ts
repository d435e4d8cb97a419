/**
 * What a delegation token says (a JWT, RFC 7519, ES256): on whose behalf its holder acts, and through whom it came.
 * The gateway signs one for the callee of each task; the callee presents it when it delegates further or asks for an egress token.
 */

/** `typ` of the header, so that no other token of the gateway passes for one. */
export const DELEGATION_TOKEN_TYPE = 'clawmesh-delegation+jwt'

/**
 * A certificate and those above it below the root, the leaf first, so that its revocation can be judged later. Each is
 * `fingerprint.serial.issuer` in base64url: SHA-256 of the certificate, its serial number, SHA-256 of the key that signed it.
 */
export type CertificateClaim = readonly string[]

/** The claim `act` (RFC 8693, section 4.1): the agent that delegated, and within it the agent that delegated to that one. */
export interface Actor {
  /** SPIFFE ID. */
  readonly sub: string
  /** The certificate that it delegated with. Absent in tokens of older gateways. */
  readonly crt?: CertificateClaim
  readonly act?: Actor
}

export interface DelegationClaims {
  readonly iss: string
  /** SPIFFE ID of the agent that the chain began with. */
  readonly sub: string
  /** SPIFFE ID of the callee: it alone may present the token. */
  readonly aud: string
  /** The agent that delegated to the holder; within it, the agent that delegated to that one. The innermost is `sub`. */
  readonly act: Actor
  /** Id of the root of the tree that this delegation is part of. */
  readonly txn: string
  /**
   * Id of this delegation (UUIDv7, RFC 9562): the one that the caller gave it, or else the gateway's. Absent in tokens of older
   * gateways.
   */
  readonly delegation_id?: string
  /** Id of the delegation that the caller worked on when it made this one. Absent where a chain begins, and as `delegation_id` is. */
  readonly parent_id?: string
  /** 1 for the first delegation of a chain. */
  readonly hop: number
  readonly max_hops: number
  /** Names separated by spaces (RFC 6749, section 3.3). Absent: not narrowed. */
  readonly scope?: string
  /** Host patterns. Absent: not narrowed. Empty: none. */
  readonly allowed_destinations?: readonly string[]
  /** Seconds since the epoch. */
  readonly iat: number
  readonly exp: number
  readonly jti: string
}

/** The agents of a chain, first the one that it began with. */
export function actorsOf(act: Actor): string[] {
  const actors: string[] = []
  let next: Actor | undefined = act
  while (next !== undefined) {
    actors.unshift(next.sub)
    next = next.act
  }
  return actors
}
