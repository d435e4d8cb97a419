/** A policy in which some agents are not in audit mode: what enforce would decide about them, and advise. */
import type { Peer } from '@clawmesh/proto'
import type { Mode, PolicySnapshot, TenantPolicy } from '../snapshot.ts'

export function underEnforce(policy: PolicySnapshot, agents: readonly Peer[]): PolicySnapshot {
  const tenants = new Map(policy.tenants)
  for (const { tenant, agent } of agents) {
    const known = tenants.get(tenant)
    if (known !== undefined) tenants.set(tenant, strict(known, agent))
  }
  return { ...policy, tenants }
}

function strict(tenant: TenantPolicy, agent: string): TenantPolicy {
  return {
    ...tenant,
    egress: { ...tenant.egress, ...withMode(tenant.egress, agent) },
    delegation: { ...tenant.delegation, ...withMode(tenant.delegation, agent) },
  }
}

/** No entry is made for an agent that has none: it would look like one that policy names. */
function withMode<T extends { readonly mode: Mode }>(
  { agents, others }: { readonly agents: ReadonlyMap<string, T>; readonly others: T },
  agent: string,
) {
  const own = agents.get(agent)
  return own === undefined
    ? { others: { ...others, mode: 'enforce' as const } }
    : { agents: new Map(agents).set(agent, { ...own, mode: 'enforce' }) }
}
