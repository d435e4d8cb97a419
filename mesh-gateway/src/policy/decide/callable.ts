/**
 * What a caller may call of one callee, for places that show no more than that. An answer of a peer may name one service
 * ten thousand times: what has been found out of a service is remembered.
 */
import { MeshError, type Peer } from '@clawmesh/proto'
import { rulesBetween } from '../compile/rule-table.ts'
import type { StepBudget } from '../compile/step-budget.ts'
import type { PolicySnapshot } from '../snapshot.ts'
import { decideDelegation } from './decide-delegation.ts'

export interface Callable {
  /**
   * True when policy lets at least one method of the service through. Each method that is looked at is a step.
   * @throws MeshError MESH_POLICY_TOO_COSTLY when the budget does not suffice
   */
  service(name: string, budget: StepBudget): boolean
  /** Of a service and the name of one of its methods. @throws MeshError as `service` does */
  method(service: string, name: string, budget: StepBudget): boolean
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
/** As long as a name that a rule can have, about; nothing longer is shown. */
const MAX_NAME = 512
/** Services of which the answer is remembered. */
const MAX_REMEMBERED = 5_000

export function callableOf(pair: Pair, policy: PolicySnapshot): Callable {
  const named = namedMethods(pair, policy)
  const remembered = new Map<string, boolean>()

  function allows(method: string, budget: StepBudget): boolean {
    if (!budget.spend(1))
      throw new MeshError('MESH_POLICY_TOO_COSTLY', 'too many methods to judge for one answer')
    return decideDelegation({ ...pair, method }, policy).action !== 'deny'
  }

  function judge(name: string, budget: StepBudget): boolean {
    if (name.length > MAX_NAME || !SERVICE.test(name)) return false
    if (allows(`${name}/${ANY_OTHER}`, budget)) return true
    return named.get(name)?.some((method) => allows(method, budget)) ?? false
  }

  return {
    service(name, budget) {
      const known = remembered.get(name)
      if (known !== undefined) return known
      const callable = judge(name, budget)
      if (remembered.size >= MAX_REMEMBERED) remembered.clear()
      if (name.length <= MAX_NAME) remembered.set(name, callable)
      return callable
    },
    method: (service, name, budget) =>
      service.length + name.length < MAX_NAME &&
      SERVICE.test(service) &&
      METHOD.test(name) &&
      allows(`${service}/${name}`, budget),
  }
}

/** By service, the methods that rules for this pair name one by one. */
function namedMethods(
  { caller, callee }: Pair,
  policy: PolicySnapshot,
): ReadonlyMap<string, readonly string[]> {
  const allow = policy.tenants.get(caller.tenant)?.delegation.allow
  const accept = policy.tenants.get(callee.tenant)?.delegation.accept
  const methods = new Set(
    [allow, accept]
      .flatMap((table) => (table === undefined ? [] : rulesBetween(table, caller, callee)))
      .flatMap((there) => [...there.methods.keys()])
      .filter((pattern) => !pattern.endsWith('*')),
  )
  return Map.groupBy(methods, (method) => method.slice(0, method.indexOf('/')))
}
