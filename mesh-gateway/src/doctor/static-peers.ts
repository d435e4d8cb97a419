/** Checks the addresses of peers in the configuration (`delegation.peers`), without a lookup and without dialling. */
import { parsePeerName } from '@clawmesh/proto'
import type { StaticPeers } from '../config/static-peers.ts'
import { parseIp } from '../net/ip.ts'
import { parseListenAddress } from '../net/listen-address.ts'
import { isOwnAddress } from '../net/own-addresses.ts'
import type { ListenAddress } from '../net/port.ts'
import { plural } from '../text/plural.ts'
import { type CheckResult, type Finding, result } from './finding.ts'

export interface StaticPeerFacts {
  readonly peers: StaticPeers
  readonly meshDomain: string
  /** The tenants with policy; null when policy cannot be read. */
  readonly tenants: readonly string[] | null
  /** Where the gateway itself listens. */
  readonly own: readonly ListenAddress[]
}

export function checkStaticPeers(facts: StaticPeerFacts): CheckResult {
  const entries = Object.entries(facts.peers)
  const findings = entries.flatMap(([name, addresses]) => [
    ...addresses.filter((address) => isOwn(address, facts.own)).map((one) => own(name, one)),
    ...withoutPolicy(name, facts),
  ])
  return result('static peers', plural(entries.length, 'name'), ...findings)
}

function isOwn(text: string, listeners: readonly ListenAddress[]): boolean {
  const address = parseListenAddress(text)
  if (typeof address === 'string') return false
  const ip = parseIp(address.host)
  return ip !== null && isOwnAddress(ip, address.port, listeners)
}

function own(name: string, address: string): Finding {
  return {
    what: `delegation.peers has ${address} for ${name}: that is this gateway itself`,
    why: 'the gateway never dials itself: calls there end with MESH_PEER_MISMATCH',
    todo: 'write the address at which the agent listens',
  }
}

function withoutPolicy(name: string, { tenants, meshDomain }: StaticPeerFacts): Finding[] {
  const tenant = parsePeerName(name, meshDomain)?.tenant
  if (tenants === null || tenant === undefined || tenants.includes(tenant)) return []
  return [
    {
      what: `delegation.peers has ${name}, and the tenant ${tenant} has no policy`,
      why: 'an address allows nothing: policy refuses every call to that peer',
      todo: `write the policy of ${tenant}, or correct the name`,
    },
  ]
}
