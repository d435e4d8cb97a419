/** The door of the policy room: what others ask of policy, and the store that keeps it current. */

export { type AllowedPeer, allowedDestinations, allowedPeers } from './allowed.ts'
export { decideDelegation } from './decide-delegation.ts'
export { decideEgress } from './decide-egress.ts'
export type {
  Action,
  DelegationDecision,
  DelegationLimits,
  DelegationQuestion,
  EgressDecision,
  EgressLimits,
  EgressQuestion,
} from './decision.ts'
export {
  DEFAULT_METHOD,
  type Explanation,
  explainDelegation,
  explainEgress,
  parseMethodName,
} from './explain.ts'
export { countFaults, formatFault, type PolicyFault, policyInvalid } from './fault.ts'
export { loadPolicy, type PolicyLoading, policyFor, policyOfEach } from './load-policy.ts'
export {
  openPolicyStore,
  type PolicyReadiness,
  type PolicyStore,
  type PolicyStoreOptions,
} from './policy-store.ts'
export { addressRules, type ChainLimits, chainLimits, type PolicySnapshot } from './snapshot.ts'
