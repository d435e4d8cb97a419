/**
 * Explains a decision in words, with the file that decided and what to do next. The command `explain` and
 * MeshService.Explain both use it. Pure, as the decision is.
 */
import { DELEGATION_SERVICE, ERRORS, type ErrorCode } from '@clawmesh/proto'
import { toldFile, toldRule } from '../read/told.ts'
import type { PolicySnapshot } from '../snapshot.ts'
import { decideDelegation } from './decide-delegation.ts'
import { decideEgress } from './decide-egress.ts'
import type { Action, DelegationDecision, DelegationQuestion, EgressQuestion } from './decision.ts'
import { ruleForPort } from './egress-hint.ts'
import { underEnforce } from './under-enforce.ts'

export interface Explanation {
  readonly action: Action
  readonly code: ErrorCode | null
  /** The code in words; null when a rule allows it. */
  readonly reason: string | null
  readonly rule: string | null
  /** The file of the rule, or else the file that lacks a rule; null when there is none. */
  readonly file: string | null
  readonly hint: string | null
  readonly mode: 'enforce' | 'audit'
  readonly limits: Readonly<Record<string, number | null>>
  /** The generation of the policy. */
  readonly generation: number
}

/** The default method. */
export const DEFAULT_METHOD = `${DELEGATION_SERVICE}/Delegate`

const METHOD = /^\/?([A-Za-z_][\w.]*\/[A-Za-z_]\w*)$/

/** For the operator. */
export function explainDelegation(
  question: DelegationQuestion,
  policy: PolicySnapshot,
): Explanation {
  const decision = decideDelegation(question, policy)
  const { caller, callee } = question
  const hint = adviceOn(decision, () =>
    decideDelegation(question, underEnforce(policy, [caller, callee])),
  )
  return inWords({ ...decision, hint }, missingIn(question, decision), policy)
}

type Advised = Pick<DelegationDecision, 'action' | 'code' | 'hint' | 'operatorHint'>

/** What is let through for audit mode alone carries no hint. Enforce has one, and says what to write. */
function adviceOn(decision: Advised, enforced: () => Advised): string | null {
  const hint = decision.operatorHint ?? decision.hint
  if (hint !== null || decision.action !== 'audit') return hint
  const refused = enforced()
  return refused.code === decision.code ? (refused.operatorHint ?? refused.hint) : null
}

/** For an agent of the caller's tenant: contains nothing of another tenant's policy. */
export function explainToCaller(question: DelegationQuestion, policy: PolicySnapshot): Explanation {
  const { tenant } = question.caller
  const decision = decideDelegation(question, policy)
  const whole = inWords(decision, missingIn(question, decision), policy)
  return { ...whole, rule: toldRule(whole.rule, tenant), file: toldFile(whole.file, tenant) }
}

/** The tenant whose policy lacks a rule, where no rule decided. */
function missingIn({ caller, callee }: DelegationQuestion, { code }: Pick<Decision, 'code'>) {
  return code === 'MESH_POLICY_NOT_ACCEPTED' ? callee.tenant : caller.tenant
}

export function explainEgress(question: EgressQuestion, policy: PolicySnapshot): Explanation {
  const decision = decideEgress(question, policy)
  const hint = adviceOn(decision, () =>
    decideEgress(question, underEnforce(policy, [question.agent])),
  )
  return inWords({ ...decision, hint }, question.agent.tenant, policy)
}

export interface TunnelExplanation extends Explanation {
  /** No rule allows a tunnel, but rules allow requests of certain methods or paths. */
  readonly someRequests: boolean
}

/** Of a tunnel, for the agent itself: contains nothing of the global policy that its refusals do not tell it. */
export function explainTunnelToAgent(
  asked: Omit<EgressQuestion, 'request'>,
  policy: PolicySnapshot,
): TunnelExplanation {
  const { tenant } = asked.agent
  const whole = inWords(decideEgress({ ...asked, request: null }, policy), tenant, policy)
  return {
    ...whole,
    rule: toldRule(whole.rule, tenant),
    file: toldFile(whole.file, tenant),
    someRequests: whole.code === 'MESH_POLICY_NOT_ALLOWED' && hasRuleFor(asked, policy),
  }
}

function hasRuleFor(
  { agent, host, port }: Pick<EgressQuestion, 'agent' | 'host' | 'port'>,
  { tenants }: PolicySnapshot,
): boolean {
  const egress = tenants.get(agent.tenant)?.egress
  if (egress === undefined) return false
  const own = egress.agents.get(agent.agent) ?? egress.others
  return ruleForPort([egress.allow, own.allow], host, port) !== null
}

/** `package.Service/Method`, with or without its leading slash; null for anything else. */
export function parseMethodName(text: string): string | null {
  return text.length > 512 ? null : (METHOD.exec(text)?.[1] ?? null)
}

type Decision = Pick<Explanation, 'action' | 'code' | 'rule' | 'hint' | 'mode'> & {
  readonly limits: object
}

function inWords(decision: Decision, missing: string, policy: PolicySnapshot): Explanation {
  const { action, code, rule, mode, limits } = decision
  const file = rule?.split('#')[0] ?? `${missing}.json`
  return {
    action,
    code,
    reason: code === null ? null : ERRORS[code].meaning,
    rule,
    file: policy.files.includes(file) ? file : null,
    hint: decision.hint ?? (code === null ? null : ERRORS[code].hint),
    mode,
    limits: { ...limits },
    generation: policy.generation,
  }
}
