/** The peers that may be given tasks, by the names that tools take. */

/** A peer that policy allows, as the gateway lists it. */
export interface AllowedAgent {
  readonly tenant: string
  /** `*` for any of the tenant. */
  readonly agent: string
  /** As policy writes them; `*` for any. */
  readonly methods: readonly string[]
}

export interface NamedPeer {
  /** `researcher`, or `globex/translator` of another tenant. */
  readonly peer: string
  readonly tenant: string
}

const DELEGATE = 'clawmesh.delegation.v1.DelegationService/Delegate'

/** @param own the tenant of the agent that asks. @returns also the tenants of which any agent may be asked */
export function namedPeers(
  allowed: readonly AllowedAgent[],
  own: string,
): { readonly peers: readonly NamedPeer[]; readonly tenants: readonly string[] } {
  const askable = allowed.filter(takesTasks)
  return {
    peers: askable
      .filter(({ agent }) => agent !== '*')
      .map(({ agent, tenant }) => ({
        peer: tenant === own ? agent : `${tenant}/${agent}`,
        tenant,
      })),
    tenants: askable.flatMap(({ agent, tenant }) => (agent === '*' ? [tenant] : [])),
  }
}

function takesTasks({ methods }: AllowedAgent): boolean {
  return methods.some(
    (method) =>
      method === '*' ||
      method === DELEGATE ||
      (method.endsWith('/*') && DELEGATE.startsWith(method.slice(0, -1))),
  )
}
