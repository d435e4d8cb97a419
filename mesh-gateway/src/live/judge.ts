/**
 * Judges grounds by the current state: at admission, and again at every change of policy, revocations, CRLs, trust
 * bundle or signing keys. Pure; allocates nothing for grounds that hold. Each plane words a fault itself.
 */
import { type CertificateLink, type IdentitySnapshot, judgePeer } from '@clawmesh/agent-sdk/mesh'
import type { ErrorCode } from '@clawmesh/proto'
import type { Admitted, ChainGrounds, Grounds, TokenGrounds, Voucher } from './grounds.ts'

/** A revocation, in the words of its list. */
export interface RevokedGround {
  readonly code: ErrorCode
  /** `list`: a CRL is out of date, so revocation is unknown. */
  readonly what: 'certificate' | 'agent' | 'txn' | 'token' | 'list'
  readonly message: string
}

export interface RevokedGrounds {
  certificate(peer: {
    readonly identity: { readonly id: string }
    readonly links: readonly CertificateLink[]
  }): RevokedGround | null
  /** @param id SPIFFE ID */
  agent(id: string): RevokedGround | null
  chain(txn: string, actors: readonly string[]): RevokedGround | null
  token(jti: string): RevokedGround | null
}

/** A refusal of policy; an allowed question has no fault. */
export interface PolicyFault {
  readonly code: ErrorCode
  readonly rule: string | null
  readonly hint: string | null
}

/** The current state by which grounds are judged. */
export interface Standing {
  readonly trust: Trust
  readonly revocations: RevokedGrounds
  readonly keys: SigningKeys
  readonly nowMs: number
}

type ChainStanding = Pick<Standing, 'trust' | 'nowMs'> & {
  readonly revocations: Pick<RevokedGrounds, 'chain' | 'certificate'>
}

export interface Trust {
  /** Null: certificates in tokens are not checked against a bundle. */
  current(): Pick<IdentitySnapshot, 'roots'> | null
  /**
   * True when a root that has not expired has this key, see `keyIdentity`. @param nowMs milliseconds since the epoch
   */
  hasKey(key: string, nowMs: number): boolean
}

export interface SigningKeys {
  /** False for a key that is retired, unknown or past its overlap. */
  verifies(issuer: string, kid: string): boolean
}

/** A certificate is no longer trusted by its time or its root, or it or its agent is revoked. */
interface CertificateFault<Ground> {
  readonly ground: Ground
  /** The SPIFFE ID in the certificate. */
  readonly id: string
  readonly why: { readonly untrusted: ErrorCode } | { readonly revoked: RevokedGround }
}

interface RevokedFault<Ground> {
  readonly ground: Ground
  readonly revoked: RevokedGround
}

export type ChainFault = CertificateFault<'actor'> | RevokedFault<'chain'>

export type Fault =
  | CertificateFault<'caller'>
  | CertificateFault<'callee'>
  | ChainFault
  | RevokedFault<'agent'>
  | RevokedFault<'token'>
  | RevokedFault<'binding'>
  | { readonly ground: 'key' }
  | { readonly ground: 'life' }
  | { readonly ground: 'policy'; readonly policy: PolicyFault }

/** @param decide null: policy allowed it before, and has not changed since */
export function judgeAdmitted<Question>(
  { grounds, question }: Admitted<Question>,
  standing: Standing,
  decide: ((question: Question) => PolicyFault | null) | null,
): Fault | null {
  const fault = judgeGrounds(grounds, standing)
  if (fault !== null || question === null || decide === null) return fault
  const policy = decide(question)
  return policy === null ? null : { ground: 'policy', policy }
}

/** In the order of a new call's checks: the agent and its certificate, its token, the chain, the other side. */
export function judgeGrounds(grounds: Grounds, standing: Standing): Fault | null {
  const { agent, caller, callee, token, chain } = grounds
  return (
    (caller === null
      ? judgeAgent(agent, standing)
      : judgeCertificate('caller', caller, standing)) ??
    (token === null ? null : judgeToken(token, standing)) ??
    (chain === null ? null : judgeChain(chain, standing)) ??
    (callee === null ? null : judgeCertificate('callee', callee, standing))
  )
}

/** Judges the tree, each agent in it, and the certificates with which they delegated. */
export function judgeChain(
  { txn, actors, certificates }: ChainGrounds,
  standing: ChainStanding,
): ChainFault | null {
  const revoked = standing.revocations.chain(txn, actors)
  if (revoked !== null) return { ground: 'chain', revoked }
  for (const certificate of certificates) {
    const fault = judgeCertificate('actor', certificate, standing)
    if (fault !== null) return fault
  }
  return null
}

function judgeAgent(id: string, { revocations }: Standing): Fault | null {
  const revoked = revocations.agent(id)
  return revoked === null ? null : { ground: 'agent', revoked }
}

function judgeCertificate<Ground extends 'caller' | 'callee' | 'actor'>(
  ground: Ground,
  certificate: Voucher,
  { trust, revocations, nowMs }: ChainStanding,
): CertificateFault<Ground> | null {
  const { id } = certificate.identity
  const untrusted = untrustedCode(certificate, trust, nowMs)
  if (untrusted !== null) return { ground, id, why: { untrusted } }
  const revoked = revocations.certificate(certificate)
  return revoked === null ? null : { ground, id, why: { revoked } }
}

function untrustedCode(certificate: Voucher, trust: Trust, nowMs: number): ErrorCode | null {
  const bundle = trust.current()
  if (bundle === null) return null
  if (certificate.rootFingerprint !== null) return judgePeer(certificate, bundle, nowMs)
  const root = certificate.links.at(-1)?.issuerKey
  return root !== undefined && trust.hasKey(root, nowMs) ? null : 'MESH_IDENTITY_UNTRUSTED'
}

function judgeToken(token: TokenGrounds, { revocations, keys, nowMs }: Standing): Fault | null {
  const revoked = revocations.token(token.jti)
  if (revoked !== null) return { ground: 'token', revoked }
  const bound = token.boundTo === null ? null : revocations.certificate(token.boundTo)
  if (bound !== null) return { ground: 'binding', revoked: bound }
  if (token.kid !== null && !keys.verifies(token.issuer, token.kid)) return { ground: 'key' }
  return nowMs > token.graceEndMs ? { ground: 'life' } : null
}
