/**
 * What lets a call, a request or a tunnel in: one value for both planes. It is kept as long as what was let in is open, and
 * judged by `judge.ts` at admission and at every change. Knows no plane.
 */
import type { CertificateLink, PeerCertificate } from '@clawmesh/agent-sdk/mesh'

/** The certificate of a connection, as the handshake proved it. */
type ProvenCertificate = Pick<
  PeerCertificate,
  'identity' | 'links' | 'notBefore' | 'notAfter' | 'rootFingerprint' | 'anchor'
>

/** A certificate that a token names: its root is known by the key that signed the last link, its time is the token's. */
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
  /** Of the key that signed it; null: its issuer names none. */
  readonly kid: string | null
  /** Its `exp`, milliseconds since the epoch; infinite where a token bounds the beginning alone. */
  readonly endMs: number
  /** Until when it lets in: as far past its end as clocks may differ. */
  readonly graceEndMs: number
  /** The certificate that it is bound to, where it was not exchanged for it; null: none. Its CA may be of another mesh. */
  readonly boundTo: NamedCertificate | null
}

export interface ChainGrounds {
  /** Root of the tree of delegations. */
  readonly txn: string
  /** SPIFFE IDs of the agents that delegated, the origin first. */
  readonly actors: readonly string[]
  /** The certificates that they delegated with, as far as the token says. */
  readonly certificates: readonly NamedCertificate[]
}

export interface Grounds {
  /** SPIFFE ID of the agent, or gateway, that was let in. */
  readonly agent: string
  /** The certificate that vouches for it; null: its token alone does. */
  readonly caller: Voucher | null
  /** Of the other side; null where the mesh knows none. */
  readonly callee: Voucher | null
  /** Null: the certificate of the connection lets it in, and nothing else. */
  readonly token: TokenGrounds | null
  /** Null: it acts for itself, and so as an origin. */
  readonly chain: ChainGrounds | null
}

/** What was let in, and what policy was asked for it. */
export interface Admitted<Question> {
  readonly grounds: Grounds
  /** Null where policy has no say. */
  readonly question: Question | null
}
