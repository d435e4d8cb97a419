/** Admits a call or refuses it, by the policy decision and the limits. Dials nothing. */
import type { AgentIdentity, MeshError, Peer } from '@clawmesh/proto'
import { enterScopes, type LimitScope, takeRate } from '../limits/enter-scopes.ts'
import type { Limits, MaybePromise } from '../limits/limits.ts'
import type { WaitingRoom } from '../limits/waiting-room.ts'
import type { DelegationDecision, DelegationLimits } from '../policy/decide/decision.ts'
import { refusalOf } from '../policy/read/told.ts'
import { type PolicySnapshot, peerLimits, tenantLimits } from '../policy/snapshot.ts'
import type { Permits } from './permits.ts'

/**
 * Enters the limits of the agent, and of its tenant as a whole. Synchronous unless limits are shared between gateways.
 * @returns the caller
 * @throws MeshError of the decision, MESH_RATE_LIMITED, MESH_LIMIT_CONCURRENCY, MESH_LIMIT_UNAVAILABLE
 */
export function admit(
  caller: AgentIdentity,
  decision: DelegationDecision,
  policy: PolicySnapshot,
  limits: Limits,
  permits: Permits,
): MaybePromise<AgentIdentity> {
  const { tenant, agent } = caller
  const own = scopeOf(`delegation:${tenant}/${agent}`, decision.limits, 'this agent')
  if (decision.action === 'deny') return deny(decision, tenant, limits, own)
  const ofTenant = tenantLimits(policy, tenant)
  const scopes =
    ofTenant === null ? [own] : [own, scopeOf(`delegation:${tenant}`, ofTenant, 'its tenant')]
  // permits that were granted before a refusal are released with the end of the call
  const refused = enterScopes(limits, scopes, permits)
  return refused instanceof Promise
    ? refused.then((error) => admitted(caller, error))
    : admitted(caller, refused)
}

function admitted(caller: AgentIdentity, refused: MeshError | null): AgentIdentity {
  if (refused !== null) throw refused
  return caller
}

/**
 * Enters the concurrency limits of the callee (for all callers and for this one). Waits for its turn in a fair queue.
 * @param mayGo checked before the wait, so that a call that is refused anyway does not wait
 * @throws MeshError MESH_LIMIT_CONCURRENCY, MESH_LIMIT_UNAVAILABLE
 */
export async function takeTurn(
  caller: AgentIdentity,
  callee: Peer,
  policy: PolicySnapshot,
  waitingRoom: WaitingRoom,
  permits: Permits,
  mayGo: () => void,
): Promise<void> {
  const limit = peerLimits(policy, callee)
  if (limit === null) return
  mayGo()
  const { concurrentTasks: most, queueLength, queueMs } = limit
  const name = `${callee.tenant}/${callee.agent}`
  const room = { what: `tasks of ${name}`, most, queueLength, queueMs }
  const asker = `${caller.tenant}/${caller.agent}`
  permits.hold(await waitingRoom.enter(`peer:${name}`, room, asker, permits.gone()))
}

/** A call that policy refuses also counts against the rate limit of the agent. */
function deny(
  decision: DelegationDecision,
  tenant: string,
  limits: Limits,
  { rate, whose }: LimitScope,
): Promise<never> {
  const refuse = (refused: MeshError | null): never => {
    throw refused ?? refusalOf(decision, tenant)
  }
  if (rate === null) return refuse(null)
  const refused = takeRate(limits, rate, whose)
  return refused instanceof Promise ? refused.then(refuse) : refuse(refused)
}

/** A tenth of the calls of a minute may come at once. */
function scopeOf(
  key: string,
  { callsPerMinute, concurrentStreams }: DelegationLimits,
  whose: LimitScope['whose'],
): LimitScope {
  const noun = 'calls' as const
  const rate =
    callsPerMinute === null
      ? null
      : {
          key,
          perMinute: callsPerMinute,
          burst: Math.max(1, Math.ceil(callsPerMinute / 10)),
          noun,
        }
  const room = concurrentStreams === null ? null : { key, most: concurrentStreams, noun }
  return { whose, rate, room }
}
