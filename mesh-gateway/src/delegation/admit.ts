/** Decides whether a call goes on: who calls, where to, what policy and limits say. Nothing has been dialled yet. */
import {
  type AgentIdentity,
  ERRORS,
  type ErrorCode,
  type Identity,
  MeshError,
} from '@clawmesh/proto'
import type { Limits } from '../limits/limits.ts'
import { decideDelegation } from '../policy/decide-delegation.ts'
import type { DelegationDecision } from '../policy/decision.ts'
import type { PolicySnapshot } from '../policy/snapshot.ts'
import type { Call } from './call.ts'
import type { PeerRoute } from './upstream/upstreams.ts'

const nothing = () => {}

/** What policy says, for the audit record, whether or not limits then refuse. */
export function judge(
  caller: Identity,
  route: PeerRoute,
  call: Call,
  policy: PolicySnapshot,
  withinChain: boolean,
): { caller: AgentIdentity; decision: DelegationDecision } {
  if (caller.kind !== 'agent') throw new MeshError('MESH_IDENTITY_NOT_AGENT')
  const decision = decideDelegation(
    { caller, callee: route.peer, method: call.method, withinChain },
    policy,
  )
  return { caller, decision }
}

/** @throws MeshError of the decision, MESH_RATE_LIMITED, MESH_LIMIT_CONCURRENCY. Returns what to call on leaving. */
export function admit(
  caller: AgentIdentity,
  decision: DelegationDecision,
  limits: Limits,
): () => void {
  if (decision.action === 'deny') throw refusalOf(decision)
  const key = `delegation:${caller.tenant}/${caller.agent}`
  const { callsPerMinute, concurrentStreams } = decision.limits
  if (callsPerMinute !== null) {
    const waitMs = limits.take(key, callsPerMinute, Math.max(1, Math.ceil(callsPerMinute / 10)))
    if (waitMs !== null)
      throw new MeshError(
        'MESH_RATE_LIMITED',
        `${callsPerMinute} calls per minute are allowed to this agent`,
        { retryAfterMs: waitMs },
      )
  }
  if (concurrentStreams === null) return nothing
  const leave = limits.enter(key, concurrentStreams)
  if (leave === null)
    throw new MeshError(
      'MESH_LIMIT_CONCURRENCY',
      `${concurrentStreams} calls at once are allowed to this agent`,
      { retryAfterMs: 1_000 },
    )
  return leave
}

function refusalOf(decision: DelegationDecision): MeshError {
  const code: ErrorCode = decision.code ?? 'MESH_POLICY_NOT_ALLOWED'
  return new MeshError(code, undefined, {
    hint: decision.hint ?? ERRORS[code].hint,
    facts: decision.rule === null ? {} : { rule: decision.rule },
  })
}
