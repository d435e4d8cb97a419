/** Lets a call in, or refuses it, as policy decided and as limits allow. Nothing has been dialled yet. */
import { type AgentIdentity, ERRORS, type ErrorCode, MeshError } from '@clawmesh/proto'
import type { Limits } from '../limits/limits.ts'
import type { DelegationDecision } from '../policy/decision.ts'

const nothing = () => {}

/** @throws MeshError of the decision, MESH_RATE_LIMITED, MESH_LIMIT_CONCURRENCY. Returns what to call on leaving. */
export function admit(
  caller: AgentIdentity,
  decision: DelegationDecision,
  limits: Limits,
): () => void {
  if (decision.action === 'deny') throw refusalOf(decision)
  const { callsPerMinute, concurrentStreams } = decision.limits
  if (callsPerMinute === null && concurrentStreams === null) return nothing
  const key = `delegation:${caller.tenant}/${caller.agent}`
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
