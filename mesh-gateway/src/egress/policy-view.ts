/** Policy as the egress port asks it: compiled once for each generation, and asked again of what is open. */
import type { PolicyFault } from '../live/judge.ts'
import { judgeAddresses } from '../net/judge-addresses.ts'
import type { ListenAddress } from '../net/port.ts'
import { decideEgress } from '../policy/decide/decide-egress.ts'
import type { EgressQuestion } from '../policy/decide/decision.ts'
import { addressRules, egressLimits, type PolicySnapshot, tunnelTls } from '../policy/snapshot.ts'
import type { PolicyView } from './context.ts'

/** The compiled view is made once for each generation. */
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

/** What is open must still be what policy, as it is now, would let through: the destination, and the address that was dialled. */
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
