/**
 * The limits that policy sets for an agent and for its tenant as a whole: rate, requests and tunnels at once, size of a
 * body. A request that is refused on the way gives back what it had entered. Without limits this costs nothing.
 */
import type { MeshError } from '@clawmesh/proto'
import {
  enterScopes,
  type LimitScope,
  type PermitHolder,
  type RateLimit,
  takeRate,
} from '../limits/enter-scopes.ts'
import type { Limits, MaybePromise, Release } from '../limits/limits.ts'
import type { EgressDecision, EgressLimits } from '../policy/decide/decision.ts'
import type { Principal } from './authenticate.ts'
import type { RequestHead } from './http1/request-head.ts'
import { Refused, refuse } from './refused.ts'
import type { Target } from './request.ts'

export type Bounds = Pick<EgressDecision, 'limits' | 'tenantLimits'>

const nothing: Release = () => {}

/**
 * What is still to be entered once policy has decided: agent first, then tenant. The rate of the agent was taken
 * before, by `takeOwnRate`.
 * @param tunnel counts among tunnels, not among requests
 */
export function limitScopes(
  { tenant, agent }: Principal['agent'],
  { limits, tenantLimits }: Bounds,
  tunnel: boolean,
): LimitScope[] {
  const own = scopeOf(`${tenant}/${agent}`, 'this agent', null, limits, tunnel)
  if (tenantLimits === null) return [own]
  const rate = rateOf(tenant, tenantLimits)
  return [own, scopeOf(tenant, 'its tenant', rate, tenantLimits, tunnel)]
}

/** True for CONNECT, and for a WebSocket; everything else is a request. */
export function isTunnel(target: Target, head: RequestHead): boolean {
  return target.form === 'connect' || head.webSocket
}

/** @returns the release of all that was entered, or the refusal. @throws MeshError MESH_LIMIT_UNAVAILABLE */
export function enterLimits(
  { agent }: Pick<Principal, 'agent'>,
  bounds: Bounds,
  target: Target,
  head: RequestHead,
  limits: Limits,
): MaybePromise<Release | Refused> {
  if (bounds.tenantLimits === null && isUnlimited(bounds.limits)) return nothing
  const size = bodyLimit(bounds)
  if (size !== null && typeof head.body === 'number' && head.body > size.maxBytes)
    return refuse('limits', 'MESH_LIMIT_SIZE', { message: size.message })
  return enterAll(limitScopes(agent, bounds, isTunnel(target, head)), limits)
}

/** Takes one request from the agent's rate, before the policy decision. @throws MeshError MESH_LIMIT_UNAVAILABLE */
export function takeOwnRate(
  { tenant, agent }: Principal['agent'],
  { limits }: Bounds,
  by: Limits,
): MaybePromise<Refused | null> {
  const rate = rateOf(`${tenant}/${agent}`, limits)
  const error = rate === null ? null : takeRate(by, rate, 'this agent')
  return error instanceof Promise ? error.then(refusedBy) : refusedBy(error)
}

function refusedBy(error: MeshError | null): Refused | null {
  return error === null ? null : new Refused('limits', error)
}

/** The maximum size of one body, and the refusal of a larger one; null without a limit. */
export function bodyLimit({
  limits,
  tenantLimits,
}: Bounds): { readonly maxBytes: number; readonly message: string } | null {
  const own = limits.maxBodyBytes ?? Infinity
  const ofTenant = tenantLimits?.maxBodyBytes ?? Infinity
  const maxBytes = Math.min(own, ofTenant)
  if (maxBytes === Infinity) return null
  const whose: LimitScope['whose'] = own <= ofTenant ? 'this agent' : 'its tenant'
  return { maxBytes, message: `the body is larger than the ${maxBytes} bytes allowed to ${whose}` }
}

/** Synchronous unless another process counts. */
function enterAll(scopes: readonly LimitScope[], limits: Limits): MaybePromise<Release | Refused> {
  const held = new HeldPermits()
  try {
    const refused = enterScopes(limits, scopes, held)
    return refused instanceof Promise
      ? refused.then(
          (error) => held.settle(error),
          (cause: unknown) => held.drop(cause),
        )
      : held.settle(refused)
  } catch (cause) {
    return held.drop(cause)
  }
}

/** The permits of one request. */
class HeldPermits implements PermitHolder {
  readonly #releases: Release[] = []

  hold(release: Release): void {
    this.#releases.push(release)
  }

  /** The release of all, or the refusal. */
  settle(error: MeshError | null): Release | Refused {
    if (error === null) return () => this.#release()
    this.#release()
    return new Refused('limits', error)
  }

  drop(cause: unknown): never {
    this.#release()
    throw cause
  }

  #release(): void {
    for (const release of this.#releases.splice(0)) release()
  }
}

/** @param name `acme/bot-01`, or `acme`: no name of an agent stands alone */
function rateOf(name: string, { requestsPerMinute, burst }: EgressLimits): RateLimit | null {
  if (requestsPerMinute === null) return null
  return {
    key: `egress:${name}`,
    perMinute: requestsPerMinute,
    burst: burst ?? Math.max(1, requestsPerMinute),
    noun: 'requests',
  }
}

function scopeOf(
  name: string,
  whose: LimitScope['whose'],
  rate: RateLimit | null,
  { concurrentTunnels, concurrentRequests }: EgressLimits,
  tunnel: boolean,
): LimitScope {
  const noun = tunnel ? 'tunnels' : 'requests'
  const most = tunnel ? concurrentTunnels : concurrentRequests
  return { whose, rate, room: most === null ? null : { key: `egress-${noun}:${name}`, most, noun } }
}

function isUnlimited(limits: EgressLimits): boolean {
  return (
    limits.requestsPerMinute === null &&
    limits.concurrentTunnels === null &&
    limits.concurrentRequests === null &&
    limits.maxBodyBytes === null
  )
}
