/** From how an author names a peer to what goes into :authority. */
import { formatPeerName, isDnsLabel, isDnsName } from '@clawmesh/proto'

export interface AddressBook {
  /** Tenant of the caller: short names are meant within it. */
  readonly tenant: string
  readonly meshDomain: string
}

/** @param peer `researcher` (own tenant), `globex/translator`, or a full name with an optional port. @throws TypeError */
export function peerAddress(peer: string, { tenant, meshDomain }: AddressBook): string {
  if (isDnsLabel(peer)) return formatPeerName({ tenant, agent: peer }, meshDomain)
  const [otherTenant = '', agent = '', ...more] = peer.split('/')
  if (more.length === 0 && isDnsLabel(otherTenant) && isDnsLabel(agent))
    return formatPeerName({ tenant: otherTenant, agent }, meshDomain)
  const [, name = '', port = ''] = /^([^:]+)(?::(\d{1,5}))?$/.exec(peer.toLowerCase()) ?? []
  if (!isDnsName(name) || Number(port || 1) > 65_535 || Number(port || 1) < 1)
    throw new TypeError(
      'peer: must be an agent, tenant/agent, or a full name with an optional port',
    )
  return port === '' ? name : `${name}:${port}`
}
