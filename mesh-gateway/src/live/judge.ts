/**
 * Judges grounds as things stand: at admission, and again at every change of policy, revocations, lists of CAs, trust bundle
 * or signing keys. Pure; nothing is allocated for what holds. Each plane says a fault in its own words.
 */
import { type CertificateLink, type IdentitySnapshot, judgePeer } from '@clawmesh/agent-sdk/mesh'
import type { ErrorCode } from '@clawmesh/proto'
import type { Admitted, ChainGrounds, Grounds, TokenGrounds, Voucher } from './grounds.ts'

/** What was revoked, in the words of the list that says so. */
export interface RevokedGround {
  readonly code: ErrorCode
  /** `list`: nobody can know any more. */
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

/** What policy answers to a question; what it allows has no code. */
export interface PolicyFault {
  readonly code: ErrorCode
  readonly rule: string | null
  readonly hint: string | null
}

/** How things stand now. */
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
  /** Null: certificates that tokens name are not judged by it. */
  current(): Pick<IdentitySnapshot, 'roots'> | null
  /** True when one of the roots that have not expired has this key, see `keyIdentity`. @param nowMs milliseconds since the epoch */
  hasKey(key: string, nowMs: number): boolean
}

export interface SigningKeys {
  /** False of a key that is retired, unknown or past its overlap. */
  verifies(issuer: string, kid: string): boolean
}

/** Of a certificate: it is not good any more by its time or its root, or it was revoked, or its agent was. */
interface CertificateFault<Ground> {
  readonly ground: Ground
  /** SPIFFE ID that it names. */
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

/** @param decide null: policy said yes already, and has not changed since. */
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

/** In the order of the checks of a new call: the agent and its certificate, its token, the chain, the other side. */
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

/** The tree, each agent in it, and the certificates that they delegated with. */
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
