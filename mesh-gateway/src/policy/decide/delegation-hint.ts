/** The hints after a refused call: for the caller about its own tenant's policy only, for the operator about both. */
import type { Peer } from '@clawmesh/proto'
import { meantPeer, namedAgents } from '../compile/named-agents.ts'
import { type DelegationRule, findPair } from '../compile/rule-table.ts'
import type { TenantPolicy } from '../snapshot.ts'
import type { DelegationQuestion } from './decision.ts'

export function allowHint(
  { caller, callee, method }: DelegationQuestion,
  policy: TenantPolicy,
): string {
  const pair = findPair(policy.delegation.allow, caller, callee)
  if (pair !== null) return methodHint(pair, method)
  const short = ({ tenant, agent }: Peer) =>
    tenant === caller.tenant ? agent : `${tenant}/${agent}`
  const to = short(callee)
  const meant = meantPeer(callee, namedAgents(policy))
  if (meant !== null) return `no rule of ${policy.file} names ${to}; ${short(meant)} is named`
  return `add { "from": "${caller.agent}", "to": "${to}" } to delegation.allow of ${policy.file}`
}

/** The same for any policy of the other tenant, and for none: it reveals nothing. */
export function notAcceptedHint({ caller, callee }: DelegationQuestion): string {
  return `add { "from": "${caller.tenant}/${caller.agent}", "to": "${callee.agent}" } to delegation.accept of ${callee.tenant}.json`
}

/** For the operator, who may see both. */
export function acceptHint(question: DelegationQuestion, other: TenantPolicy | undefined): string {
  const { caller, callee, method } = question
  if (other === undefined) return `tenant ${callee.tenant} has no policy, and so accepts nobody`
  const pair = findPair(other.delegation.accept, caller, callee)
  return pair === null ? notAcceptedHint(question) : methodHint(pair, method)
}

function methodHint(rule: DelegationRule, method: string): string {
  const methods = rule.methods ?? []
  const shown = methods.slice(0, 5).join(', ')
  const more = methods.length > 5 ? ` and ${methods.length - 5} more` : ''
  return `the rule ${rule.id} matches but names methods ${shown}${more} only, not ${method.slice(0, 200)}`
}
