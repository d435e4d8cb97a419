/**
 * Caches the route and the policy decision of each target and method, for one connection. An entry is valid while the
 * gateway's names and the policy are the same objects, so a reload counts at once; the certificate is judged for every
 * call all the same. Bounded: a client that asks for ever new names or methods only evicts entries.
 */
import type { AgentIdentity, SpiffeTemplate } from '@clawmesh/proto'
import { decideDelegation } from '../policy/decide/decide-delegation.ts'
import type { DelegationDecision } from '../policy/decide/decision.ts'
import type { PolicySnapshot } from '../policy/snapshot.ts'
import { type Route, type RouteNames, routeOf } from './route.ts'

export interface CachedRoute {
  readonly route: Route
  /** SPIFFE ID; null for the gateway itself. */
  readonly callee: string | null
}

/** The cache of one connection, and so of one caller. */
export interface RouteCache {
  /** @throws MeshError MESH_ROUTE_MALFORMED, MESH_ROUTE_UNKNOWN */
  to(target: string, names: RouteNames, spiffe: SpiffeTemplate): CachedRoute
  decide(question: RouteQuestion, policy: PolicySnapshot): DelegationDecision
}

export interface RouteQuestion {
  readonly caller: AgentIdentity
  readonly route: Extract<Route, { kind: 'peer' }>
  readonly method: string
  readonly withinChain: boolean
}

/**
 * Maximum targets, and methods over all targets: an agent may have hundreds of connections, each with its own cache.
 */
const MAX_TARGETS = 200
const MAX_DECISIONS = 500

export function createRouteCache(): RouteCache {
  let namesSeen: RouteNames | null = null
  let policySeen: PolicySnapshot | null = null
  const routes = new Map<string, CachedRoute>()
  const decisions = new Map<Route, Map<string, DelegationDecision>>()
  let decided = 0

  function forgetDecisions(): void {
    decisions.clear()
    decided = 0
  }

  function remember(route: Route, method: string, decision: DelegationDecision): void {
    if (decided >= MAX_DECISIONS) forgetDecisions()
    decided += 1
    const known = decisions.get(route)
    if (known === undefined) decisions.set(route, new Map([[method, decision]]))
    else known.set(method, decision)
  }

  return {
    to(target, names, spiffe) {
      if (names !== namesSeen) routes.clear()
      namesSeen = names
      const known = routes.get(target)
      if (known !== undefined) return known
      const route = routeOf(target, names)
      const callee =
        route.kind === 'self' ? null : spiffe.agent(route.peer.tenant, route.peer.agent).id
      const found = { route, callee }
      if (routes.size >= MAX_TARGETS) routes.clear()
      routes.set(target, found)
      return found
    },
    decide({ caller, route, method, withinChain }, policy) {
      if (policy !== policySeen) forgetDecisions()
      policySeen = policy
      const callee = route.peer
      // calls within a chain are rare and cost a signature check anyway, so they are not cached
      if (withinChain) return decideDelegation({ caller, callee, method, withinChain }, policy)
      const known = decisions.get(route)?.get(method)
      if (known !== undefined) return known
      const decision = decideDelegation({ caller, callee, method, withinChain }, policy)
      remember(route, method, decision)
      return decision
    },
  }
}
