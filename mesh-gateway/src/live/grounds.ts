/**
 * The grounds of an admission (a call, a request or a tunnel): one type for both planes. They are kept while it is
 * open, and `judge.ts` judges them at admission and at every change. Knows no plane.
 */
import type { CertificateLink, PeerCertificate } from '@clawmesh/agent-sdk/mesh'

/** The certificate of a connection, proved by its handshake. */
type ProvenCertificate = Pick<
  PeerCertificate,
  'identity' | 'links' | 'notBefore' | 'notAfter' | 'rootFingerprint' | 'anchor'
>

/**
 * A certificate named in a token: its root is known by the key that signed the last link, its validity is the token's.
 */
export interface NamedCertificate {
  readonly identity: { readonly id: string }
  readonly links: readonly CertificateLink[]
  readonly rootFingerprint: null
}

/** A certificate that vouches for an agent. */
export type Voucher = ProvenCertificate | NamedCertificate

export interface TokenGrounds {
  readonly jti: string
  readonly issuer: string
  /** The key that signed it; null when its issuer names none. */
  readonly kid: string | null
  /** Its `exp`, milliseconds since the epoch; infinite where a token bounds only the beginning. */
  readonly endMs: number
  /** Until when it admits: its expiry plus the tolerance for clock differences. */
  readonly graceEndMs: number
  /**
   * The certificate to which it is bound, unless it was exchanged for that; null for none. Its CA may be of another
   * mesh.
   */
  readonly boundTo: NamedCertificate | null
}

export interface ChainGrounds {
  /** The root of the tree of delegations. */
  readonly txn: string
  /** SPIFFE IDs of the agents that delegated, the origin first. */
  readonly actors: readonly string[]
  /** The certificates with which they delegated, as far as the token names them. */
  readonly certificates: readonly NamedCertificate[]
}

export interface Grounds {
  /** SPIFFE ID of the admitted agent or gateway. */
  readonly agent: string
  /** The certificate that vouches for it; null: only its token does. */
  readonly caller: Voucher | null
  /** The certificate of the other side; null where the mesh knows none. */
  readonly callee: Voucher | null
  /** Null: admitted by the certificate of the connection alone. */
  readonly token: TokenGrounds | null
  /** Null: the agent acts for itself, as an origin. */
  readonly chain: ChainGrounds | null
}

/** The grounds of an admission, and the question that policy allowed. */
export interface Admitted<Question> {
  readonly grounds: Grounds
  /** Null where policy does not apply. */
  readonly question: Question | null
}
