/** What a caller may call of one callee: for those who show no more than that. Pure, as deciding is. */
import type { Peer } from '@clawmesh/proto'
import { decideDelegation } from './decide-delegation.ts'
import { rulesOfCaller } from './rule-table.ts'
import type { PolicySnapshot } from './snapshot.ts'

export interface Callable {
  /** True when policy lets at least one method of the service through. */
  service(name: string): boolean
  /** Of a service and the name of one of its methods. */
  method(service: string, name: string): boolean
}

export interface Pair {
  readonly caller: Peer
  readonly callee: Peer
  /** True when the caller acts within a chain that the gateway signed. */
  readonly withinChain: boolean
}

/** No method has this name: rules for any method of a service match it, rules for one do not. */
const ANY_OTHER = '-'
const SERVICE = /^[A-Za-z_][\w.]*$/
const METHOD = /^[A-Za-z_]\w*$/

export function callableOf(pair: Pair, policy: PolicySnapshot): Callable {
  const named = namedMethods(pair, policy)
  const allows = (method: string) => decideDelegation({ ...pair, method }, policy).action !== 'deny'

  return {
    service(name) {
      if (!SERVICE.test(name)) return false
      if (allows(`${name}/${ANY_OTHER}`)) return true
      return named.get(name)?.some(allows) ?? false
    },
    method: (service, name) =>
      SERVICE.test(service) && METHOD.test(name) && allows(`${service}/${name}`),
  }
}

/** By service, the methods that rules for this caller name one by one. */
function namedMethods(pair: Pair, policy: PolicySnapshot): ReadonlyMap<string, readonly string[]> {
  const allow = policy.tenants.get(pair.caller.tenant)?.delegation.allow
  const accept = policy.tenants.get(pair.callee.tenant)?.delegation.accept
  const methods = [allow, accept]
    .flatMap((table) => (table === undefined ? [] : rulesOfCaller(table, pair.caller)))
    .flatMap((rule) => rule.methods ?? [])
    .filter((pattern) => !pattern.endsWith('*'))
  return Map.groupBy(methods, (method) => method.slice(0, method.indexOf('/')))
}
