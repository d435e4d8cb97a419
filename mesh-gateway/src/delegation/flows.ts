/**
 * What is the same for all calls that one connection makes to one target: where it leads, and what policy says of each
 * method there. Remembered as long as the gateway's names and the policy are the very same objects, so that a reload
 * counts at once; the certificate is judged for every call all the same.
 * Bounded: who asks for ever new names or methods only makes the gateway forget.
 */
import type { AgentIdentity, SpiffeTemplate } from '@clawmesh/proto'
import { decideDelegation } from '../policy/decide-delegation.ts'
import type { DelegationDecision } from '../policy/decision.ts'
import type { PolicySnapshot } from '../policy/snapshot.ts'
import { type Route, type RouteNames, routeOf } from './route.ts'

export interface Flow {
  readonly route: Route
  /** SPIFFE ID; null for the gateway itself. */
  readonly callee: string | null
}

/** Of one connection, and so of one caller. */
export interface Flows {
  /** @throws MeshError MESH_ROUTE_MALFORMED, MESH_ROUTE_UNKNOWN */
  to(target: string, names: RouteNames, spiffe: SpiffeTemplate): Flow
  decide(question: FlowQuestion, policy: PolicySnapshot): DelegationDecision
}

export interface FlowQuestion {
  readonly caller: AgentIdentity
  readonly route: Extract<Route, { kind: 'peer' }>
  readonly method: string
  readonly withinChain: boolean
}

/** Targets, and methods of each. */
const MOST = 200

export function createFlows(): Flows {
  let namesSeen: RouteNames | null = null
  let policySeen: PolicySnapshot | null = null
  const flows = new Map<string, Flow>()
  const decisions = new Map<Route, Map<string, DelegationDecision>>()

  function decisionsOf(route: Route): Map<string, DelegationDecision> {
    const known = decisions.get(route)
    if (known !== undefined) return known
    const fresh = new Map<string, DelegationDecision>()
    keep(decisions, route, fresh)
    return fresh
  }

  return {
    to(target, names, spiffe) {
      if (names !== namesSeen) flows.clear()
      namesSeen = names
      const known = flows.get(target)
      if (known !== undefined) return known
      const route = routeOf(target, names)
      const callee =
        route.kind === 'self' ? null : spiffe.agent(route.peer.tenant, route.peer.agent).id
      const flow = { route, callee }
      keep(flows, target, flow)
      return flow
    },
    decide({ caller, route, method, withinChain }, policy) {
      if (policy !== policySeen) decisions.clear()
      policySeen = policy
      const callee = route.peer
      // rare, and a signature was checked for it: not worth remembering
      if (withinChain) return decideDelegation({ caller, callee, method, withinChain }, policy)
      const byMethod = decisionsOf(route)
      const known = byMethod.get(method)
      if (known !== undefined) return known
      const decision = decideDelegation({ caller, callee, method, withinChain }, policy)
      keep(byMethod, method, decision)
      return decision
    },
  }
}

function keep<K, V>(map: Map<K, V>, key: K, value: V): void {
  if (map.size >= MOST) map.clear()
  map.set(key, value)
}
