/** Lets a call in, or refuses it, as policy decided and as limits allow. Nothing has been dialled yet. */
import { type AgentIdentity, MeshError, type Peer } from '@clawmesh/proto'
import type { Limits, MaybePromise, Release } from '../limits/limits.ts'
import type { WaitingRoom } from '../limits/waiting-room.ts'
import type { DelegationDecision, DelegationLimits } from '../policy/decide/decision.ts'
import { refusalOf } from '../policy/read/told.ts'
import { type PolicySnapshot, peerLimits, tenantLimits } from '../policy/snapshot.ts'
import type { Permits } from './permits.ts'

/**
 * Of the agent, and of its tenant as a whole. At once unless limits are shared between gateways. Answers the caller.
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
  const key = `delegation:${tenant}/${agent}`
  if (decision.action === 'deny') return deny(decision, tenant, limits, key)
  const own = enter(limits, key, decision.limits, 'this agent', permits)
  const ofTenant = tenantLimits(policy, tenant)
  if (ofTenant === null) return own === null ? caller : own.then(() => caller)
  const all = () => enter(limits, `delegation:${tenant}`, ofTenant, 'the tenant', permits)
  const both = own === null ? all() : own.then(all)
  return both === null ? caller : both.then(() => caller)
}

/**
 * Of the callee: how many tasks it is given at once, by all callers and by this one. Waits for a turn.
 * @param mayGo judged before waiting: who is refused anyway does not wait for it
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

/** A call that policy refuses counts against the rate of the agent as any other. */
function deny(
  decision: DelegationDecision,
  tenant: string,
  limits: Limits,
  key: string,
): Promise<never> {
  const { callsPerMinute: most } = decision.limits
  if (most === null) throw refusalOf(decision, tenant)
  const refuse = (waitMs: number | null): never => {
    throw waitMs === null ? refusalOf(decision, tenant) : tooMany(most, 'this agent', waitMs)
  }
  const wait = take(limits, key, most)
  return wait instanceof Promise ? wait.then(refuse) : refuse(wait)
}

function take(limits: Limits, key: string, callsPerMinute: number): MaybePromise<number | null> {
  return limits.take(key, callsPerMinute, Math.max(1, Math.ceil(callsPerMinute / 10)))
}

function tooMany(callsPerMinute: number, whose: string, retryAfterMs: number): MeshError {
  return new MeshError(
    'MESH_RATE_LIMITED',
    `${callsPerMinute} calls per minute are allowed to ${whose}`,
    { retryAfterMs },
  )
}

/** Null when it was at once. What was entered before a refusal is left with the end of the call. */
function enter(
  limits: Limits,
  key: string,
  { callsPerMinute, concurrentStreams }: DelegationLimits,
  whose: string,
  permits: Permits,
): Promise<void> | null {
  const occupied = () => occupy(limits, key, concurrentStreams, whose, permits)
  if (callsPerMinute === null) return occupied()
  const granted = (waitMs: number | null) => {
    if (waitMs === null) return occupied()
    throw tooMany(callsPerMinute, whose, waitMs)
  }
  const wait = take(limits, key, callsPerMinute)
  return wait instanceof Promise ? wait.then(async (ms) => void (await granted(ms))) : granted(wait)
}

function occupy(
  limits: Limits,
  key: string,
  most: number | null,
  whose: string,
  permits: Permits,
): Promise<void> | null {
  if (most === null) return null
  const granted = (release: Release | null): null => {
    if (release === null)
      throw new MeshError(
        'MESH_LIMIT_CONCURRENCY',
        `${most} calls at once are allowed to ${whose}`,
        { retryAfterMs: 1_000 },
      )
    permits.hold(release)
    return null
  }
  const entered = limits.enter(key, most)
  return entered instanceof Promise
    ? entered.then((release) => void granted(release))
    : granted(entered)
}
