/**
 * What policy lets an agent, and then its tenant as a whole, ask for and have open. Whoever is refused on the way has left again
 * what it had entered. Where nothing is limited this costs nothing.
 */
import type { Limits, Release } from '../limits/limits.ts'
import type { EgressDecision, EgressLimits } from '../policy/decide/decision.ts'
import type { Principal } from './authenticate.ts'
import type { RequestHead } from './http1/request-head.ts'
import { type Refused, refuse } from './refused.ts'
import type { Target } from './request.ts'

/** The limits of one, and what is counted by. */
export interface LimitScope {
  /** `acme/bot-01`, or `acme`: no name of an agent stands alone. */
  readonly name: string
  /** In messages. */
  readonly whose: 'this agent' | 'its tenant'
  readonly limits: EgressLimits
}

export type Bounds = Pick<EgressDecision, 'limits' | 'tenantLimits'>

const RETRY_MS = 1_000
const nothing: Release = () => {}

/** Agent first, then tenant. */
export function limitScopes(
  { tenant, agent }: Principal['agent'],
  { limits, tenantLimits }: Bounds,
): LimitScope[] {
  const own: LimitScope = { name: `${tenant}/${agent}`, whose: 'this agent', limits }
  return tenantLimits === null
    ? [own]
    : [own, { name: tenant, whose: 'its tenant', limits: tenantLimits }]
}

/** A tunnel, or a WebSocket, which becomes one; anything else is a request. */
export function isTunnel(target: Target, head: RequestHead): boolean {
  return target.form === 'connect' || head.webSocket
}

export function roomKey(scope: LimitScope, tunnel: boolean): string {
  return `${tunnel ? 'egress-tunnels' : 'egress-requests'}:${scope.name}`
}

/** How many may be open at once; null when policy does not say. */
export function roomOf({ limits }: LimitScope, tunnel: boolean): number | null {
  return tunnel ? limits.concurrentTunnels : limits.concurrentRequests
}

/** What leaves again, or why it may not enter. @throws MeshError MESH_LIMIT_UNAVAILABLE */
export function enterLimits(
  { agent }: Pick<Principal, 'agent'>,
  bounds: Bounds,
  target: Target,
  head: RequestHead,
  limits: Limits,
): Release | Promise<Release | Refused> {
  if (bounds.tenantLimits === null && isUnlimited(bounds.limits)) return nothing
  return enterAll(limitScopes(agent, bounds), isTunnel(target, head), head, limits)
}

/** One request of the agent's rate, whatever policy will say of it. @throws MeshError MESH_LIMIT_UNAVAILABLE */
export async function takeRate(
  { tenant, agent }: Principal['agent'],
  { limits }: Bounds,
  by: Limits,
): Promise<Refused | null> {
  return await takeOne({ name: `${tenant}/${agent}`, whose: 'this agent', limits }, by)
}

/** How large one body may be, and what is said of one that is larger; null when it may be any. */
export function bodyLimit({
  limits,
  tenantLimits,
}: Bounds): { readonly maxBytes: number; readonly message: string } | null {
  const own = limits.maxBodyBytes ?? Infinity
  const ofTenant = tenantLimits?.maxBodyBytes ?? Infinity
  const maxBytes = Math.min(own, ofTenant)
  if (maxBytes === Infinity) return null
  return {
    maxBytes,
    message: tooManyBytes(maxBytes, own <= ofTenant ? 'this agent' : 'its tenant'),
  }
}

function tooManyBytes(maxBytes: number, whose: LimitScope['whose']): string {
  return `the body is larger than the ${maxBytes} bytes allowed to ${whose}`
}

async function enterAll(
  scopes: readonly LimitScope[],
  tunnel: boolean,
  head: RequestHead,
  limits: Limits,
): Promise<Release | Refused> {
  const held: Release[] = []
  const release = () => {
    for (const one of held.splice(0)) one()
  }
  try {
    for (const scope of scopes) {
      // the rate of the agent was taken before policy was asked
      const refused =
        (scope.whose === 'this agent' ? null : await takeOne(scope, limits)) ??
        tooLarge(scope, head) ??
        (await takeRoom(scope, tunnel, limits, held))
      if (refused === null) continue
      release()
      return refused
    }
    return release
  } catch (error) {
    release()
    throw error
  }
}

async function takeOne({ name, whose, limits }: LimitScope, by: Limits): Promise<Refused | null> {
  const { requestsPerMinute, burst } = limits
  if (requestsPerMinute === null) return null
  const waitMs = await by.take(
    `egress:${name}`,
    requestsPerMinute,
    burst ?? Math.max(1, requestsPerMinute),
  )
  return waitMs === null
    ? null
    : refuse('limits', 'MESH_RATE_LIMITED', {
        message: `${requestsPerMinute} requests per minute are allowed to ${whose}`,
        retryAfterMs: waitMs,
      })
}

function tooLarge({ limits, whose }: LimitScope, { body }: RequestHead): Refused | null {
  const most = limits.maxBodyBytes
  if (most === null || typeof body !== 'number' || body <= most) return null
  return refuse('limits', 'MESH_LIMIT_SIZE', { message: tooManyBytes(most, whose) })
}

async function takeRoom(
  scope: LimitScope,
  tunnel: boolean,
  by: Limits,
  held: Release[],
): Promise<Refused | null> {
  const most = roomOf(scope, tunnel)
  if (most === null) return null
  const release = await by.enter(roomKey(scope, tunnel), most)
  if (release !== null) {
    held.push(release)
    return null
  }
  return refuse('limits', 'MESH_LIMIT_CONCURRENCY', {
    message: `${most} ${tunnel ? 'tunnels' : 'requests'} at once are allowed to ${scope.whose}`,
    retryAfterMs: RETRY_MS,
  })
}

function isUnlimited(limits: EgressLimits): boolean {
  return (
    limits.requestsPerMinute === null &&
    limits.concurrentTunnels === null &&
    limits.concurrentRequests === null &&
    limits.maxBodyBytes === null
  )
}
