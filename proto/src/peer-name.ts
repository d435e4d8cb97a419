/** Peer names: `<agent>.<tenant>.<mesh domain>`, what a caller puts into :authority and a callee into its DNS SAN. */
import { isDnsLabel } from './dns-name.ts'

export interface Peer {
  readonly tenant: string
  readonly agent: string
}

/** The peer that a lower-case host name means, or null when it is not one of this mesh domain. */
export function parsePeerName(host: string, meshDomain: string): Peer | null {
  const suffix = `.${meshDomain}`
  if (host.length > 253 || !host.endsWith(suffix)) return null
  const [agent, tenant, ...rest] = host.slice(0, -suffix.length).split('.')
  if (agent === undefined || tenant === undefined || rest.length > 0) return null
  return isDnsLabel(agent) && isDnsLabel(tenant) ? { tenant, agent } : null
}

export function formatPeerName(peer: Peer, meshDomain: string): string {
  return `${peer.agent}.${peer.tenant}.${meshDomain}`
}
