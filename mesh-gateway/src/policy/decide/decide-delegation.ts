/**
 * Decides whether an agent may call another. Pure: no I/O, no clock, no logging. Refusing is a result.
 *
 * In this order: the tenant has policy; no deny rule (global, caller's tenant, callee's tenant) matches; the caller may
 * originate; a hop is left; the caller's tenant allows it; when the callee's tenant is another, it accepts it. Audit
 * mode excuses the missing rule of its own tenant, and nothing else.
 *
 * An agent that may begin a task may also complete it: a rule that allows `Delegate` allows `Watch`, `Cancel` and the
 * like (task-methods.ts), within a chain and outside of any, unless a deny rule names them or the call that began the
 * task.
 */
import type { ErrorCode } from '@clawmesh/proto'
import { type DelegationRule, findDelegationRule, type RuleTable } from '../compile/rule-table.ts'
import {
  delegationOf,
  type Mode,
  mayOriginateRule,
  type PolicySnapshot,
  whyWithoutPolicy,
} from '../snapshot.ts'
import type {
  Action,
  DelegationDecision,
  DelegationLimits,
  DelegationQuestion,
} from './decision.ts'
import { acceptHint, allowHint, notAcceptedHint } from './delegation-hint.ts'
import { beginsNothing, begunBy } from './task-methods.ts'

const NO_LIMITS: DelegationLimits = Object.freeze({ callsPerMinute: null, concurrentStreams: null })

export function decideDelegation(
  question: DelegationQuestion,
  policy: PolicySnapshot,
): DelegationDecision {
  const { caller, callee, method, withinChain } = question
  const tenant = policy.tenants.get(caller.tenant)
  if (tenant === undefined)
    return {
      action: 'deny',
      code: 'MESH_POLICY_NO_TENANT',
      rule: null,
      hint: whyWithoutPolicy(policy, caller.tenant),
      mode: 'enforce',
      limits: NO_LIMITS,
    }
  const agent = delegationOf(tenant, caller)
  const { mode, limits } = agent
  const verdict = (
    action: Action,
    code: ErrorCode | null,
    rule: string | null,
    hint: string | null = null,
    by: Mode = mode,
  ): DelegationDecision => ({ action, code, rule, hint, mode: by, limits })

  const crossing = caller.tenant !== callee.tenant
  const other = crossing ? policy.tenants.get(callee.tenant) : tenant
  const denies = [policy.global.delegationDeny, tenant.delegation.deny]
  if (crossing && other !== undefined) denies.push(other.delegation.deny)
  const denied = findDenying(denies, question, method)
  if (denied !== null) return verdict('deny', 'MESH_POLICY_DENIED', denied.id)
  // a task that was begun within a chain may outlive its token, and a description begins nothing
  if (!agent.mayOriginate && !withinChain && !beginsNothing(method))
    return verdict('deny', 'MESH_POLICY_MAY_NOT_ORIGINATE', mayOriginateRule(tenant, caller))
  if (tenant.delegation.chain.maxHops === 0)
    return verdict('deny', 'MESH_CHAIN_HOPS_EXCEEDED', `${tenant.file}#/delegation/maxHops`)

  const allowing = (table: RuleTable) => findAllowing(table, question, denies)
  const allow = allowing(tenant.delegation.allow)
  if (allow === null && mode === 'enforce')
    return verdict('deny', 'MESH_POLICY_NOT_ALLOWED', null, allowHint(question, tenant))
  if (!crossing)
    return allow === null
      ? verdict('audit', 'MESH_POLICY_NOT_ALLOWED', null)
      : verdict('allow', null, allow.id)

  const accept = other === undefined ? null : allowing(other.delegation.accept)
  // audit mode of one tenant opens nothing of another's
  const theirs = other === undefined ? 'enforce' : delegationOf(other, callee).mode
  if (accept === null && theirs === 'enforce')
    return {
      ...verdict('deny', 'MESH_POLICY_NOT_ACCEPTED', null, notAcceptedHint(question), theirs),
      operatorHint: acceptHint(question, other),
    }
  if (allow === null) return verdict('audit', 'MESH_POLICY_NOT_ALLOWED', null)
  return accept === null
    ? verdict('audit', 'MESH_POLICY_NOT_ACCEPTED', null, null, theirs)
    : verdict('allow', null, `${allow.id} and ${accept.id}`)
}

function findDenying(
  tables: readonly RuleTable[],
  { caller, callee }: DelegationQuestion,
  method: string,
): DelegationRule | null {
  for (const table of tables) {
    const rule = findDelegationRule(table, caller, callee, method)
    if (rule !== null) return rule
  }
  return null
}

/** The rule for the method, or for a method that begins the task. */
function findAllowing(
  table: RuleTable,
  question: DelegationQuestion,
  denies: readonly RuleTable[],
): DelegationRule | null {
  const { caller, callee, method } = question
  const rule = findDelegationRule(table, caller, callee, method)
  if (rule !== null) return rule
  for (const beginning of begunBy(method)) {
    const begins = findDelegationRule(table, caller, callee, beginning)
    if (begins !== null && findDenying(denies, question, beginning) === null) return begins
  }
  return null
}
