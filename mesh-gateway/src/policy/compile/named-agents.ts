/** The agents that a policy file names, and the one that was meant by a name that is nearly one of them. Pure. */
import { nearest, type Peer } from '@clawmesh/proto'
import type { TenantPolicy } from '../snapshot.ts'

/** Of a long list: refusals must not cost more than what is allowed. */
const LOOKED_AT = 1_000

/** `tenant/agent`, of agents of the tenant and of others. Those of other tenants stand in the tenant's own file. */
export function namedAgents({ tenant, delegation, egress }: TenantPolicy): ReadonlySet<string> {
  const names = new Set<string>()
  const add = (name: string) => {
    if (!name.endsWith('*')) names.add(name)
  }
  for (const agents of [delegation.agents, egress.agents])
    for (const agent of agents.keys().take(LOOKED_AT)) add(`${tenant}/${agent}`)
  for (const table of [delegation.allow, delegation.accept])
    for (const [from, byTo] of table.entries().take(LOOKED_AT)) {
      add(from)
      for (const to of byTo.keys().take(Math.max(0, LOOKED_AT - names.size))) add(to)
    }
  return names
}

/** Null when the name is one of them, or no one of them is near: `bot-1` is not meant by `bot-2`. */
export function meantPeer(peer: Peer, names: ReadonlySet<string>): Peer | null {
  const whole = `${peer.tenant}/${peer.agent}`
  const most = Math.min(2, Math.floor(peer.agent.length / 6))
  if (names.has(whole) || most === 0) return null
  const others = names.values().filter((name) => withoutDigits(name) !== withoutDigits(whole))
  const [tenant, agent] = nearest(whole, others, most)?.split('/') ?? []
  return tenant === undefined || agent === undefined ? null : { tenant, agent }
}

function withoutDigits(name: string): string {
  return name.replaceAll(/\d+/g, '#')
}
