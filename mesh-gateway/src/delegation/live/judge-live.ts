/**
 * Whether a call that was let through earlier may still go on, and if not, what its caller is told. Pure: certificates,
 * revocations, chain and policy are judged in the order of the checks of a new call.
 */
import { type IdentitySnapshot, judgePeer, type PeerCertificate } from '@clawmesh/agent-sdk'
import { ERRORS, type ErrorCode, MeshError } from '@clawmesh/proto'
import { decideDelegation } from '../../policy/decide-delegation.ts'
import type { PolicySnapshot } from '../../policy/snapshot.ts'
import { refusalOf } from '../../policy/told.ts'
import type { RevocationJudge, Revoked } from '../../revocation/judge.ts'
import type { Grounds } from './live-streams.ts'

export function judgeLive(
  grounds: Grounds,
  identity: Pick<IdentitySnapshot, 'roots'>,
  policy: PolicySnapshot,
  revocations: RevocationJudge,
  nowMs: number,
): MeshError | null {
  const { caller, callee, question, txn, actors } = grounds
  const untrusted = judgePeer(caller, identity, nowMs)
  if (untrusted !== null) return cutFor(grounds, untrusted, ERRORS[untrusted].meaning)
  const revoked = revocations.certificate(caller)
  if (revoked !== null) return callerRevoked(grounds, revoked)
  const chain = txn === null ? null : revocations.chain(txn, actors)
  if (chain !== null) return cutFor(grounds, chain.code, chain.message, false, { txn: txn ?? '' })
  if (callee !== null) {
    const code = judgePeer(callee, identity, nowMs)
    if (code !== null) return peerUntrusted(grounds, callee, code)
    const gone = revocations.certificate(callee)
    if (gone !== null) return calleeRevoked(grounds, callee, gone)
  }
  if (question === null) return null
  const decision = decideDelegation(question, policy)
  if (decision.action !== 'deny') return null
  return refusalOf(decision, question.caller.tenant, resume(grounds))
}

/** A call that begins is refused in the same words; there is nothing to resume then. */
export function callerRefusal(revoked: Revoked): MeshError {
  return new MeshError(revoked.code, revoked.message)
}

/** The same of a peer that is dialled. */
export function calleeRefusal(callee: PeerCertificate, revoked: Revoked): MeshError {
  const { id } = callee.identity
  if (revoked.code === 'MESH_REVOCATION_STALE') return new MeshError(revoked.code, revoked.message)
  const what = revoked.what === 'agent' ? id : `a certificate of ${id}`
  return new MeshError('MESH_PEER_REVOKED', `${what} has been revoked`)
}

function callerRevoked(grounds: Grounds, revoked: Revoked): MeshError {
  // an agent that has a new certificate by now goes on with that; one that is revoked itself does not
  return cutFor(grounds, revoked.code, revoked.message, revoked.what !== 'agent')
}

function calleeRevoked(grounds: Grounds, callee: PeerCertificate, revoked: Revoked): MeshError {
  const { code, message } = calleeRefusal(callee, revoked)
  return cutFor(grounds, code, message, revoked.what !== 'agent')
}

function peerUntrusted(grounds: Grounds, callee: PeerCertificate, code: ErrorCode): MeshError {
  const why = code === 'MESH_IDENTITY_EXPIRED' ? 'has expired' : 'is no longer trusted'
  return cutFor(grounds, 'MESH_PEER_UNTRUSTED', `the certificate of ${callee.identity.id} ${why}`)
}

function cutFor(
  grounds: Grounds,
  code: ErrorCode,
  message: string,
  mayResume = true,
  facts: Readonly<Record<string, string>> = {},
): MeshError {
  return new MeshError(code, message, {
    facts: { ...facts, ...(mayResume ? resume(grounds) : {}) },
  })
}

/** The caller knows the sequence number it has come to: that is where Watch goes on. */
function resume(grounds: Grounds): Readonly<Record<string, string>> {
  return grounds.resumable ? { resume: 'watch' } : {}
}
