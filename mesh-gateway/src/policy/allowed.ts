/** What an agent is allowed, as lists: for the token that is issued to it, and for those who ask whom they may call. */
import { MeshError, type Peer } from '@clawmesh/proto'
import type { HostPattern } from '../net/host-pattern.ts'
import { covers } from './host-table.ts'
import { type DelegationRule, isForAnyMethod, rulesBetween, rulesOfCaller } from './rule-table.ts'
import { intersectMethods } from './selector.ts'
import type { PolicySnapshot } from './snapshot.ts'
import { StepBudget } from './step-budget.ts'

export interface AllowedPeer {
  readonly tenant: string
  /** `*` is any agent of the tenant. */
  readonly agent: string
  /** Null: any. */
  readonly methods: readonly string[] | null
  readonly rule: string
}

/**
 * Host patterns that policy allows the agent, without those that a deny rule covers whole. Audit mode adds none:
 * it excuses what policy does not name, and a list can only name.
 */
export function allowedDestinations(policy: PolicySnapshot, agent: Peer): string[] {
  const tenant = policy.tenants.get(agent.tenant)
  if (tenant === undefined) return []
  const own = tenant.egress.agents.get(agent.agent) ?? tenant.egress.others
  const denied = [policy.global.egressDeny, tenant.egress.deny, own.deny].flatMap((t) => t.rules)
  const { ports } = policy.global
  const open = (pattern: HostPattern) =>
    (pattern.port === null ? ports.has(80) || ports.has(443) : ports.has(pattern.port)) &&
    !denied.some((rule) => covers(rule.pattern, pattern))
  const rules = [...tenant.egress.allow.rules, ...own.allow.rules]
  return [...new Set(rules.filter((rule) => open(rule.pattern)).map((rule) => rule.text))]
}

/** Peers that are listed, and patterns of methods that are compared for that, at most. */
const MAX_PEERS = 10_000
const MAX_COMPARED = 100_000

/**
 * Whom the caller may call: allowed by its tenant, accepted by the other, not denied altogether.
 * @throws MeshError MESH_POLICY_TOO_COSTLY when policy has too many rules for that
 */
export function allowedPeers(
  policy: PolicySnapshot,
  caller: Peer,
  budget: StepBudget = new StepBudget(MAX_COMPARED),
): AllowedPeer[] {
  const tenant = policy.tenants.get(caller.tenant)
  if (tenant === undefined || tenant.delegation.chain.maxHops === 0) return []
  const peers: AllowedPeer[] = []
  const add = (peer: AllowedPeer) => {
    if (peers.push(peer) > MAX_PEERS) throw tooCostly(caller)
  }
  for (const rule of rulesOfCaller(tenant.delegation.allow, caller).flatMap(({ rules }) => rules)) {
    const to = target(rule)
    if (isDenied(policy, caller, to)) continue
    if (to.tenant === caller.tenant) {
      add({ ...to, methods: rule.methods, rule: rule.id })
      continue
    }
    for (const accept of acceptRules(policy, caller, to)) {
      const compared = (rule.methods?.length ?? 0) + (accept.methods?.length ?? 0)
      if (!budget.spend(1 + compared)) throw tooCostly(caller)
      const methods = intersectMethods(rule.methods, accept.methods)
      if (methods !== null && methods.length === 0) continue
      const both = { tenant: to.tenant, agent: to.agent === '*' ? target(accept).agent : to.agent }
      if (!isDenied(policy, caller, both))
        add({ ...both, methods, rule: `${rule.id} and ${accept.id}` })
    }
  }
  return peers
}

/** Of another tenant, the rules that accept the caller at the agent, or at any when that is `*`. */
function acceptRules(policy: PolicySnapshot, caller: Peer, to: Peer): DelegationRule[] {
  const accept = policy.tenants.get(to.tenant)?.delegation.accept
  if (accept === undefined) return []
  const pairs = to.agent === '*' ? rulesOfCaller(accept, caller) : rulesBetween(accept, caller, to)
  return pairs.flatMap(({ rules }) => rules)
}

function target(rule: DelegationRule): Peer {
  const [tenant = '', agent = ''] = rule.to.split('/')
  return { tenant, agent }
}

/** True when rules deny every method. Of `*` these are the rules that speak of every agent of the tenant. */
function isDenied(policy: PolicySnapshot, caller: Peer, callee: Peer): boolean {
  const tables = [
    policy.global.delegationDeny,
    policy.tenants.get(caller.tenant)?.delegation.deny,
    policy.tenants.get(callee.tenant)?.delegation.deny,
  ]
  return tables.some(
    (table) => table !== undefined && rulesBetween(table, caller, callee).some(isForAnyMethod),
  )
}

function tooCostly({ tenant, agent }: Peer): MeshError {
  return new MeshError(
    'MESH_POLICY_TOO_COSTLY',
    `policy has too many rules for ${tenant}/${agent} to list its peers`,
  )
}
