/**
 * The methods of one callee that a caller may call, for reflection. A peer's answer may name one service ten thousand
 * times, so results per service are cached.
 */
import { MeshError, type Peer } from '@clawmesh/proto'
import { rulesBetween } from '../compile/rule-table.ts'
import type { StepBudget } from '../compile/step-budget.ts'
import type { PolicySnapshot } from '../snapshot.ts'
import { decideDelegation } from './decide-delegation.ts'

export interface Callable {
  /**
   * True when policy allows at least one method of the service. Each checked method is a step.
   * @throws MeshError MESH_POLICY_TOO_COSTLY when the budget runs out
   */
  service(name: string, budget: StepBudget): boolean
  /** For a service and the name of one of its methods. @throws MeshError as `service` does */
  method(service: string, name: string, budget: StepBudget): boolean
}

export interface Pair {
  readonly caller: Peer
  readonly callee: Peer
  /** True when the caller acts within a chain that the gateway signed. */
  readonly withinChain: boolean
}

/** No method has this name: rules for any method of a service match it, rules for one method do not. */
const ANY_OTHER = '-'
const SERVICE = /^[A-Za-z_][\w.]*$/
const METHOD = /^[A-Za-z_]\w*$/
/** About the longest name that a rule can have; longer ones are hidden. */
const MAX_NAME = 512
/** Services whose result is cached. */
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

/** By service, the methods that rules for this pair name individually. */
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
