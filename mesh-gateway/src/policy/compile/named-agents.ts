/** The agents that a policy file names, and the named agent that a misspelt name most likely means. Pure. */
import { nearest, type Peer } from '@clawmesh/proto'
import type { TenantPolicy } from '../snapshot.ts'

/** Maximum names compared: a refusal must not cost more than an allowed request. */
const LOOKED_AT = 1_000

/** `tenant/agent`, for agents of the tenant and of others that its file names. */
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

/** Null when the name is one of them, or none is similar enough: `bot-1` does not mean `bot-2`. */
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
