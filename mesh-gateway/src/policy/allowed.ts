/** What an agent is allowed, as lists: for the token that is issued to it, and for those who ask whom they may call. */
import type { Peer } from '@clawmesh/proto'
import type { HostPattern } from '../net/host-pattern.ts'
import { covers } from './host-table.ts'
import { type DelegationRule, type RuleTable, rulesOfCaller, scopes } from './rule-table.ts'
import { intersectMethods } from './selector.ts'
import type { PolicySnapshot } from './snapshot.ts'

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

/** Whom the caller may call: allowed by its tenant, accepted by the other, not denied altogether. */
export function allowedPeers(policy: PolicySnapshot, caller: Peer): AllowedPeer[] {
  const tenant = policy.tenants.get(caller.tenant)
  if (tenant === undefined || tenant.delegation.chain.maxHops === 0) return []
  const allowed = rulesOfCaller(tenant.delegation.allow, caller).flatMap((rule) => {
    const to = target(rule)
    if (to.tenant === caller.tenant) return [{ ...to, methods: rule.methods, rule: rule.id }]
    const other = policy.tenants.get(to.tenant)
    if (other === undefined) return []
    return rulesOfCaller(other.delegation.accept, caller).flatMap((accept) => {
      const { agent } = target(accept)
      if (agent !== '*' && to.agent !== '*' && agent !== to.agent) return []
      const methods = intersectMethods(rule.methods, accept.methods)
      if (methods !== null && methods.length === 0) return []
      const both = to.agent === '*' ? agent : to.agent
      return [{ tenant: to.tenant, agent: both, methods, rule: `${rule.id} and ${accept.id}` }]
    })
  })
  return allowed.filter((peer) => {
    const other = policy.tenants.get(peer.tenant)?.delegation.deny
    const tables = [policy.global.delegationDeny, tenant.delegation.deny, ...(other ? [other] : [])]
    return !tables.some((table) => deniesAll(table, caller, peer))
  })
}

function target(rule: DelegationRule): Peer {
  const [tenant = '', agent = ''] = rule.to.split('/')
  return { tenant, agent }
}

function deniesAll(table: RuleTable, caller: Peer, peer: AllowedPeer): boolean {
  // of { tenant, agent: '*' } these are the rules that speak of every agent of it
  return scopes(caller).some((from) =>
    scopes(peer).some((to) =>
      table
        .get(from)
        ?.get(to)
        ?.some((rule) => rule.methods === null || rule.methods.includes('*')),
    ),
  )
}
