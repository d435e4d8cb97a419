/** The tenant of the agent that a chain began with. */
import type { AgentIdentity, DelegationClaims, SpiffeTemplate } from '@clawmesh/proto'

/** @param parent what the caller presented; null where a chain begins */
export function rootTenant(
  caller: AgentIdentity,
  parent: DelegationClaims | null,
  spiffe: SpiffeTemplate,
): string {
  if (parent === null) return caller.tenant
  const root = spiffe.parse(parent.sub)
  return root?.kind === 'agent' ? root.tenant : caller.tenant
}
