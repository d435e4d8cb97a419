/**
 * What is revoked at one moment, made for being asked at every call: pure, nothing is allocated for an answer.
 */
import type { CertificateLink } from '@clawmesh/agent-sdk'
import type { ErrorCode } from '@clawmesh/proto'
import type { CrlSet } from './crl-file.ts'
import { hasEnded, type RevocationEntry, type RevocationKind } from './list-file.ts'

export interface Revoked {
  /** Of a caller; whoever asks about a callee says it in the words of a callee. */
  readonly code: Extract<
    ErrorCode,
    'MESH_IDENTITY_REVOKED' | 'MESH_CHAIN_REVOKED' | 'MESH_TOKEN_REVOKED' | 'MESH_REVOCATION_STALE'
  >
  /** What was revoked; `list` when nobody can know any more. */
  readonly what: RevocationKind | 'list'
  readonly message: string
}

export interface RevocationJudge {
  /** The certificate, any of those above it, and who it names. Null: not revoked. */
  certificate(peer: {
    readonly identity: { readonly id: string }
    readonly links: readonly CertificateLink[]
  }): Revoked | null
  /** @param id SPIFFE ID */
  agent(id: string): Revoked | null
  /** A tree of delegations: its root, and those through whose hands it came. */
  chain(txn: string, actors: readonly string[]): Revoked | null
  /** An egress token. */
  token(jti: string): Revoked | null
}

export interface JudgedMoment {
  readonly judge: RevocationJudge
  /** When the answers change by themselves, milliseconds since the epoch; infinite: never. */
  readonly until: number
  /** True when a list is out of date and its certificates are refused for it. */
  readonly stale: boolean
  /** The earliest end of a list, milliseconds since the epoch; null without one. */
  readonly nextUpdateMs: number | null
}

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

export function judgeRevocations(
  entries: readonly RevocationEntry[],
  crls: CrlSet,
  whenStale: 'refuse' | 'keep',
  nowMs: number,
): JudgedMoment {
  const found: Record<RevocationKind, Map<string, Revoked>> = {
    certificate: new Map(),
    agent: new Map(),
    txn: new Map(),
    token: new Map(),
  }
  let until = Number.POSITIVE_INFINITY
  for (const entry of entries) {
    if (hasEnded(entry, nowMs)) continue
    if (entry.until !== null) until = Math.min(until, Date.parse(entry.until))
    found[entry.kind].set(entry.value, answer(entry))
  }
  const stale = new Set<string>()
  const serials = new Map<string, ReadonlySet<string>>()
  let nextUpdateMs: number | null = null
  for (const [issuerKey, crl] of crls) {
    serials.set(issuerKey, crl.serials)
    const next = crl.nextUpdate?.getTime() ?? Number.POSITIVE_INFINITY
    if (next !== Number.POSITIVE_INFINITY) nextUpdateMs = Math.min(nextUpdateMs ?? next, next)
    if (next > nowMs) until = Math.min(until, next)
    else if (whenStale === 'refuse') stale.add(issuerKey)
  }
  const { certificate, agent, txn, token } = found
  const nothing = certificate.size === 0 && agent.size === 0 && serials.size === 0

  const judge: RevocationJudge = {
    certificate(peer) {
      if (nothing) return null
      for (const link of peer.links) {
        const own = certificate.get(link.fingerprint) ?? certificate.get(link.serial)
        if (own !== undefined) return own
        if (serials.get(link.issuerKey)?.has(link.serial) === true) return BY_CRL
        if (stale.has(link.issuerKey)) return STALE
      }
      return agent.get(peer.identity.id) ?? null
    },
    agent: (id) => agent.get(id) ?? null,
    chain(root, actors) {
      const tree = txn.get(root)
      if (tree !== undefined) return tree
      if (agent.size === 0) return null
      for (const actor of actors) if (agent.has(actor)) return actorRevoked(actor)
      return null
    },
    token: (jti) => token.get(jti) ?? null,
  }
  return { judge: Object.freeze(judge), until, stale: stale.size > 0, nextUpdateMs }
}

function actorRevoked(actor: string): Revoked {
  return {
    code: 'MESH_CHAIN_REVOKED',
    what: 'agent',
    message: `${actor} is part of the chain, and has been revoked`,
  }
}

/** Reasons are for operators: in the list and in its command, not on the wire. */
function answer({ kind }: RevocationEntry): Revoked {
  switch (kind) {
    case 'certificate':
      return freeze('MESH_IDENTITY_REVOKED', kind, 'the certificate has been revoked')
    case 'agent':
      return freeze('MESH_IDENTITY_REVOKED', kind, 'the agent has been revoked')
    case 'txn':
      return freeze('MESH_CHAIN_REVOKED', kind, 'the tree of delegations has been revoked')
    case 'token':
      return freeze('MESH_TOKEN_REVOKED', kind, 'the token has been revoked')
  }
}

function freeze(code: Revoked['code'], what: RevocationKind, message: string): Revoked {
  return Object.freeze({ code, what, message })
}
