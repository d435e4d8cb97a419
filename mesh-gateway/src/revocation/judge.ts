/**
 * Decides whether a certificate, an agent, a chain or a token is revoked. Runs for every call, so an answer allocates
 * nothing.
 */
import type { CertificateLink } from '@clawmesh/agent-sdk/mesh'
import type { ErrorCode } from '@clawmesh/proto'
import type { CrlSet } from './crl-file.ts'
import { hasEnded, type RevocationKind } from './entry.ts'
import type { RevokedIndex } from './revoked-index.ts'

export interface Revoked {
  /** The code for a caller; for a callee the caller of this function words it differently. */
  readonly code: Extract<
    ErrorCode,
    'MESH_IDENTITY_REVOKED' | 'MESH_CHAIN_REVOKED' | 'MESH_TOKEN_REVOKED' | 'MESH_REVOCATION_STALE'
  >
  /** What is revoked; `list`: a CRL is out of date, so revocation is unknown. */
  readonly what: RevocationKind | 'list'
  readonly message: string
}

export interface RevocationJudge {
  /** Judges the certificate, those above it, and its agent. Null: not revoked. */
  certificate(peer: {
    readonly identity: { readonly id: string }
    readonly links: readonly CertificateLink[]
  }): Revoked | null
  /** @param id SPIFFE ID */
  agent(id: string): Revoked | null
  /** Judges a tree of delegations: its root, and the agents that delegated in it. */
  chain(txn: string, actors: readonly string[]): Revoked | null
  /** Judges an egress token. */
  token(jti: string): Revoked | null
}

export interface JudgedMoment {
  readonly judge: RevocationJudge
  /** When a CRL expires and the answers change, milliseconds since the epoch; infinite: never. */
  readonly until: number
  /** True when a CRL is out of date and the certificates of its CA are refused. */
  readonly stale: boolean
  /** The earliest nextUpdate of a list, milliseconds since the epoch; null without one. */
  readonly nextUpdateMs: number | null
}

/** Reasons are for operators: in the list and its command, never on the wire. */
const ANSWERS: Readonly<Record<RevocationKind, Revoked>> = Object.freeze({
  certificate: freeze('MESH_IDENTITY_REVOKED', 'certificate', 'the certificate has been revoked'),
  agent: freeze('MESH_IDENTITY_REVOKED', 'agent', 'the agent has been revoked'),
  txn: freeze('MESH_CHAIN_REVOKED', 'txn', 'the tree of delegations has been revoked'),
  token: freeze('MESH_TOKEN_REVOKED', 'token', 'the token has been revoked'),
})
const STALE: Revoked = Object.freeze({
  code: 'MESH_REVOCATION_STALE',
  what: 'list',
  message: 'the list of revoked certificates is out of date',
})
const BY_CRL: Revoked = Object.freeze({
  code: 'MESH_IDENTITY_REVOKED',
  what: 'certificate',
  message: 'the certificate has been revoked by its CA',
})

/** @param now milliseconds since the epoch; decides whether a temporary entry has ended */
export function judgeRevocations(
  index: RevokedIndex,
  crls: CrlSet,
  whenStale: 'refuse' | 'keep',
  now: () => number,
): JudgedMoment {
  const { until, nextUpdateMs, serials, stale } = readLists(crls, whenStale, now())
  const answerFor = (kind: RevocationKind, value: string): Revoked | null => {
    const entry = index.get(kind, value)
    return entry === undefined || hasEnded(entry, now()) ? null : ANSWERS[kind]
  }
  const judge: RevocationJudge = {
    certificate(peer) {
      if (index.sizeOf('certificate') > 0 || serials.size > 0)
        for (const link of peer.links) {
          const own =
            answerFor('certificate', link.fingerprint) ?? answerFor('certificate', link.serial)
          if (own !== null) return own
          if (serials.get(link.issuerKey)?.has(link.serial) === true) return BY_CRL
          if (stale.has(link.issuerKey)) return STALE
        }
      return answerFor('agent', peer.identity.id)
    },
    agent: (id) => answerFor('agent', id),
    chain(root, actors) {
      const tree = answerFor('txn', root)
      if (tree !== null) return tree
      if (index.sizeOf('agent') === 0) return null
      for (const actor of actors) if (answerFor('agent', actor) !== null) return actorRevoked(actor)
      return null
    },
    token: (jti) => answerFor('token', jti),
  }
  return { judge: Object.freeze(judge), until, stale: stale.size > 0, nextUpdateMs }
}

function readLists(crls: CrlSet, whenStale: 'refuse' | 'keep', nowMs: number) {
  const stale = new Set<string>()
  const serials = new Map<string, ReadonlySet<string>>()
  let until = Number.POSITIVE_INFINITY
  let nextUpdateMs: number | null = null
  for (const [issuerKey, crl] of crls) {
    serials.set(issuerKey, crl.serials)
    const next = crl.nextUpdate?.getTime() ?? Number.POSITIVE_INFINITY
    if (next !== Number.POSITIVE_INFINITY) nextUpdateMs = Math.min(nextUpdateMs ?? next, next)
    if (next > nowMs) until = Math.min(until, next)
    else if (whenStale === 'refuse') stale.add(issuerKey)
  }
  return { stale, serials, until, nextUpdateMs }
}

function actorRevoked(actor: string): Revoked {
  return {
    code: 'MESH_CHAIN_REVOKED',
    what: 'agent',
    message: `${actor} is part of the chain, and has been revoked`,
  }
}

function freeze(code: Revoked['code'], what: RevocationKind, message: string): Revoked {
  return Object.freeze({ code, what, message })
}
