/** Decides a recorded case by a policy: names, addresses and hops. Pure. */
import { judgeAddresses } from '../net/judge-addresses.ts'
import { decideDelegation } from '../policy/decide/decide-delegation.ts'
import { decideEgress } from '../policy/decide/decide-egress.ts'
import {
  addressRules,
  chainLimits,
  DEFAULT_MAX_HOPS,
  type PolicySnapshot,
} from '../policy/snapshot.ts'
import type { DelegationCase, EgressCase, RecordedCase } from './recorded-case.ts'

export interface CaseVerdict {
  /** Null: allowed. */
  readonly code: string | null
  readonly rule: string | null
  /** Allowed by audit mode only. */
  readonly byAudit: boolean
}

export function caseJudge(policy: PolicySnapshot): (recorded: RecordedCase) => CaseVerdict {
  const addresses = addressRules(policy)
  const verdict = (code: string | null, rule: string | null, byAudit = false): CaseVerdict => ({
    code,
    rule,
    byAudit,
  })
  const egress = ({ question, ip, allowed, code, rule }: EgressCase): CaseVerdict => {
    const decision = decideEgress(question, policy)
    if (decision.action === 'deny') return verdict(decision.code, decision.rule)
    const byAudit = decision.action === 'audit'
    if (ip === null) {
      // a refusal records no address, so it is unknown whether that would pass now
      const unknown = !allowed && code === 'MESH_EGRESS_ADDRESS_REFUSED'
      return unknown ? verdict(code, rule) : verdict(null, decision.rule, byAudit)
    }
    const judged = judgeAddresses([ip], question.port, addresses, [])
    if ('ips' in judged) return verdict(null, decision.rule, byAudit)
    return verdict('MESH_EGRESS_ADDRESS_REFUSED', judged.rule)
  }
  const delegation = ({ question, hop, chainTenants }: DelegationCase): CaseVerdict => {
    const decision = decideDelegation(question, policy)
    if (decision.action === 'deny') return verdict(decision.code, decision.rule)
    const most = chainTenants
      .values()
      .map((tenant) => chainLimits(policy, tenant).maxHops ?? DEFAULT_MAX_HOPS)
    if (hop !== null && most.some((maxHops) => hop > maxHops))
      return verdict('MESH_CHAIN_HOPS_EXCEEDED', null)
    return verdict(null, decision.rule, decision.action === 'audit')
  }
  return (recorded) => (recorded.plane === 'egress' ? egress(recorded) : delegation(recorded))
}
