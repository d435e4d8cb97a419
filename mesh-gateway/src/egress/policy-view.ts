/** The policy as the egress port uses it: compiled once per generation, and asked again for open tunnels. */
import type { PolicyFault } from '../live/judge.ts'
import type { AddressRules } from '../net/address-rules.ts'
import { judgeAddresses } from '../net/judge-addresses.ts'
import type { ListenAddress } from '../net/port.ts'
import { decideEgress } from '../policy/decide/decide-egress.ts'
import type { EgressDecision, EgressQuestion, TunnelTls } from '../policy/decide/decision.ts'
import { addressRules, egressLimits, type PolicySnapshot, tunnelTls } from '../policy/snapshot.ts'
import type { Principal } from './authenticate.ts'
import type { Bounds } from './enter-limits.ts'

/** The policy in force: one generation for the whole of a request. */
export interface PolicyView {
  readonly generation: number
  readonly addresses: AddressRules
  readonly tunnelTls: TunnelTls
  decide(question: EgressQuestion): EgressDecision
  /** The agent's limits; null without policy. */
  bounds(agent: Principal['agent']): Bounds | null
}

/** Compiles the view once per generation. */
export function followPolicy(policy: { current(): PolicySnapshot }): () => PolicyView {
  const compile = (snapshot: PolicySnapshot): PolicyView => ({
    generation: snapshot.generation,
    addresses: addressRules(snapshot),
    tunnelTls: tunnelTls(snapshot),
    decide: (question) => decideEgress(question, snapshot),
    bounds: (agent) => egressLimits(snapshot, agent),
  })
  let latest = policy.current()
  let view = compile(latest)
  return () => {
    const snapshot = policy.current()
    if (snapshot === latest) return view
    view = compile(snapshot)
    latest = snapshot
    return view
  }
}

/** Judges an open tunnel by the current policy: the destination, and the dialled address. */
export function decideAgain(view: PolicyView, ip: string, own: () => readonly ListenAddress[]) {
  return (question: EgressQuestion): PolicyFault | null => {
    const decision = view.decide(question)
    if (decision.action === 'deny') {
      const { code, rule, hint } = decision
      return { code: code ?? 'MESH_POLICY_NOT_ALLOWED', rule, hint }
    }
    const judged = judgeAddresses([ip], question.port, view.addresses, own())
    if ('ips' in judged) return null
    return { code: 'MESH_EGRESS_ADDRESS_REFUSED', rule: judged.rule, hint: null }
  }
}
