/** The exports of the policy room: decisions, and the store that keeps policy current. */

export { type AllowedPeer, allowedDestinations, allowedPeers } from './decide/allowed.ts'
export { decideDelegation } from './decide/decide-delegation.ts'
export { decideEgress } from './decide/decide-egress.ts'
export type {
  Action,
  DelegationDecision,
  DelegationLimits,
  DelegationQuestion,
  EgressDecision,
  EgressLimits,
  EgressQuestion,
} from './decide/decision.ts'
export {
  DEFAULT_METHOD,
  type Explanation,
  explainDelegation,
  explainEgress,
  parseMethodName,
} from './decide/explain.ts'
export {
  openPolicyStore,
  type PolicyReadiness,
  type PolicyStore,
  type PolicyStoreOptions,
} from './policy-store.ts'
export { countFaults, formatFault, policyInvalid } from './read/fault.ts'
export type { PolicyFault } from './read/fault-shape.ts'
export { loadPolicy, type PolicyLoading, policyFor, policyOfEach } from './read/load-policy.ts'
export { addressRules, type ChainLimits, chainLimits, type PolicySnapshot } from './snapshot.ts'
