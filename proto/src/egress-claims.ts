/** What an egress token says (a JWT, RFC 7519, ES256). */
import type { Actor, CertificateClaim } from './delegation-claims.ts'

export const EGRESS_AUDIENCE = 'clawmesh-egress'
/** `typ` of the header (RFC 8725, section 3.11): no other token of the gateway passes for one. */
export const EGRESS_TOKEN_TYPE = 'clawmesh-egress+jwt'

export interface Confirmation {
  /** SHA-256 of the certificate, base64url. */
  readonly 'x5t#S256': string
}

export interface EgressClaims {
  readonly iss: string
  readonly aud: typeof EGRESS_AUDIENCE
  /** SPIFFE ID of the agent. */
  readonly sub: string
  readonly agent_id: string
  readonly tenant: string
  /** Host patterns as policy writes them: `api.example.com`, `*.example.com`, `host:port`. Empty allows nothing. */
  readonly allowed_destinations: readonly string[]
  /** Seconds since the epoch. */
  readonly iat: number
  readonly nbf: number
  readonly exp: number
  readonly jti: string
  /** Who delegated to the agent, when it acts within a chain: each of them must be allowed the destination as well. */
  readonly act?: Actor
  /** Id of the tree of delegations, with `act`. */
  readonly txn?: string
  /** The certificate that the token was exchanged for, see `CertificateClaim`. Absent: none. */
  readonly crt?: CertificateClaim
  /** The token is accepted only from a client that presents this certificate (RFC 8705, section 3.1). */
  readonly cnf?: Confirmation
}
