/**
 * Collects the recorded calls by caller, callee and method, and makes the narrowest rules that allow them, and that
 * allow completing what may be begun.
 */
import type { Peer } from '@clawmesh/proto'
import { methodFault } from '../policy/compile/selector.ts'
import { begunBy } from '../policy/decide/task-methods.ts'
import type { DelegationRuleDocument } from '../policy/read/schema.ts'
import type { DelegationCase } from './recorded-case.ts'

export interface DelegationUse {
  readonly caller: Peer
  readonly callee: Peer
  count: number
  /** Null: a method has a name that no rule can express. */
  methods: Set<string> | null
  /** Methods that the rule would also allow and that a deny rule has refused. */
  readonly denied: readonly string[]
}

/** The rules for one tenant's file. */
export interface TenantDelegation {
  readonly allow: DelegationRuleDocument[]
  readonly accept: DelegationRuleDocument[]
  readonly deny: DelegationRuleDocument[]
}

export function delegationKey({ caller, callee }: DelegationCase['question']): string {
  return `${caller.tenant}/${caller.agent} ${callee.tenant}/${callee.agent}`
}

export function newDelegationUse({ caller, callee }: DelegationCase['question']): DelegationUse {
  return { caller, callee, count: 0, methods: new Set(), denied: [] }
}

export function addCall(use: DelegationUse, method: string): void {
  use.count += 1
  if (use.methods === null) return
  if (methodFault(method) === null) use.methods.add(method)
  else use.methods = null
}

/** By tenant. A call across tenants needs a rule on each side. */
export function delegationRulesOf(uses: Iterable<DelegationUse>): Map<string, TenantDelegation> {
  const tenants = new Map<string, TenantDelegation>()
  const of = (tenant: string) => {
    const known = tenants.get(tenant)
    if (known !== undefined) return known
    const made: TenantDelegation = { allow: [], accept: [], deny: [] }
    tenants.set(tenant, made)
    return made
  }
  for (const { caller, callee, methods, denied } of uses) {
    const named = methods === null ? {} : { methods: leastOf(methods) }
    const crossing = caller.tenant !== callee.tenant
    const to = crossing ? `${callee.tenant}/${callee.agent}` : callee.agent
    of(caller.tenant).allow.push({ from: caller.agent, to, ...named })
    const refused = denied.length === 0 ? null : { methods: [...denied].sort() }
    if (refused !== null) of(caller.tenant).deny.push({ from: caller.agent, to, ...refused })
    if (!crossing) continue
    const from = `${caller.tenant}/${caller.agent}`
    if (refused !== null) of(callee.tenant).deny.push({ from, to: callee.agent, ...refused })
    of(callee.tenant).accept.push({ from, to: callee.agent, ...named })
  }
  return tenants
}

/** Without methods that another one of them implies. */
function leastOf(methods: ReadonlySet<string>): string[] {
  return [...methods].filter((method) => !begunBy(method).some((one) => methods.has(one))).sort()
}
