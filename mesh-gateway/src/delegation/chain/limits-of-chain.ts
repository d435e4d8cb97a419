/**
 * The limits of the next link of a chain: those of the caller's tenant, and those of the tenant in which the tree
 * began.
 */
import type { AgentIdentity, DelegationClaims, SpiffeTemplate } from '@clawmesh/proto'
import { chainLimits, type PolicySnapshot } from '../../policy/snapshot.ts'
import type { ChainQuestion } from './chain-gate.ts'

/** @param parent the claims that the caller presented; null where a chain begins */
export function limitsOfChain(
  policy: PolicySnapshot,
  caller: AgentIdentity,
  parent: DelegationClaims | null,
  spiffe: SpiffeTemplate,
): Pick<ChainQuestion, 'limits' | 'rootLimits' | 'rootTenant'> {
  const root = parent === null ? null : spiffe.parse(parent.sub)
  const rootTenant = root?.kind === 'agent' ? root.tenant : caller.tenant
  return {
    limits: chainLimits(policy, caller.tenant),
    rootLimits: chainLimits(policy, rootTenant),
    rootTenant,
  }
}
