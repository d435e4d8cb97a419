/** Turns collected uses into the files of a policy, in an order that is the same in every run. */
import type { TenantDocument } from '../policy/read/schema.ts'
import { type DelegationUse, delegationRulesOf } from './delegation-uses.ts'
import { type EgressRule, type EgressUse, rulesOf } from './egress-uses.ts'

export interface Gathered {
  readonly uses: readonly EgressUse[]
  readonly calls: readonly DelegationUse[]
  /** `tenant/agent` of those that acted outside a chain, on either plane, or began one. */
  readonly originating: ReadonlySet<string>
  /** By tenant, the lengths of the chains with one of its agents. */
  readonly hops: ReadonlyMap<string, number>
  /** Null: all of them. */
  readonly tenant: string | null
}

/** The maximum in policy. */
const MAX_HOPS = 64

export function tenantDocuments(gathered: Gathered): TenantDocument[] {
  const egress = egressOf(gathered.uses)
  const delegation = delegationRulesOf([...gathered.calls].sort(byPair))
  const callers = new Map<string, Set<string>>()
  for (const { caller } of gathered.calls)
    callers.set(caller.tenant, (callers.get(caller.tenant) ?? new Set()).add(caller.agent))
  const names = new Set([...egress.keys(), ...delegation.keys(), ...gathered.hops.keys()])
  return [...names]
    .filter((name) => gathered.tenant === null || name === gathered.tenant)
    .sort()
    .map((tenant) => {
      const agents = egress.get(tenant)
      const { allow = [], accept = [], deny = [] } = delegation.get(tenant) ?? {}
      // where no chain began none may begin: 0 would also refuse what agents do within the chains of others
      const none = gathered.calls.length === 0 ? null : callers.has(tenant) ? 1 : 0
      const hops = gathered.hops.get(tenant) ?? none
      // judged on both planes: for callers, and for the origins of the chains of requests
      const bound = [...new Set([...(callers.get(tenant) ?? []), ...(agents?.keys() ?? [])])]
        .filter((agent) => !gathered.originating.has(`${tenant}/${agent}`))
        .sort()
      const rules = {
        ...(allow.length === 0 ? {} : { allow }),
        ...(accept.length === 0 ? {} : { accept }),
        ...(deny.length === 0 ? {} : { deny }),
        ...(hops === null || hops > MAX_HOPS ? {} : { maxHops: hops }),
        ...(bound.length === 0
          ? {}
          : { agents: Object.fromEntries(bound.map((agent) => [agent, { mayOriginate: false }])) }),
      }
      return {
        tenant,
        mode: 'enforce',
        ...(agents === undefined ? {} : { egress: { agents: Object.fromEntries(agents) } }),
        ...(Object.keys(rules).length === 0 ? {} : { delegation: rules }),
      }
    })
}

/** By tenant, then by agent: an agent gets only what it needs itself. */
function egressOf(uses: readonly EgressUse[]): Map<string, Map<string, { allow: EgressRule[] }>> {
  const tenants = new Map<string, Map<string, { allow: EgressRule[] }>>()
  const place = (use: EgressUse) =>
    `${use.agent.agent} ${use.host.split('.').reverse().join('.')} ${use.port}`
  const sorted = uses
    .map((use) => ({ use, key: place(use) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
  for (const { use } of sorted) {
    const { tenant, agent } = use.agent
    const agents = tenants.get(tenant) ?? new Map<string, { allow: EgressRule[] }>()
    tenants.set(tenant, agents)
    const own = agents.get(agent) ?? { allow: [] }
    agents.set(agent, own)
    own.allow.push(...rulesOf(use))
  }
  return tenants
}

function byPair(a: DelegationUse, b: DelegationUse): number {
  return pair(a) < pair(b) ? -1 : 1
}

function pair({ caller, callee }: DelegationUse): string {
  return `${caller.tenant}/${caller.agent} ${callee.tenant}/${callee.agent}`
}
