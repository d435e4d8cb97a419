/**
 * Finds allow rules that can never open a destination: for a port that the mesh lacks, denied completely, or for a
 * refused address. Reports only rules that can change no decision, not even in audit mode. Pure.
 */

import type { HostPattern } from '../../net/host-pattern.ts'
import { parseIp } from '../../net/ip.ts'
import { judgeAddresses } from '../../net/judge-addresses.ts'
import { isMetadataName } from '../../net/special-ranges.ts'
import { findRule, type HostTable } from '../compile/host-table.ts'
import { firstDenying, type HostRule } from '../compile/rules-of-host.ts'
import type { GlobalPolicy, PolicySnapshot } from '../snapshot.ts'
import type { IdleRule } from './idle-rule.ts'

const USUAL_PORTS: readonly number[] = [80, 443]
const SHOWN = 20

export function idleEgressRules(policy: PolicySnapshot): IdleRule[] {
  const { global } = policy
  const idle: IdleRule[] = []
  const judge = (allow: HostTable, deny: readonly HostTable[]) => {
    for (const rule of allow.rules) {
      const why = whyIdle(rule.pattern, deny, global)
      if (why !== null) idle.push({ id: rule.id, message: `"${rule.text}" has no effect: ${why}` })
    }
  }
  for (const { egress } of policy.tenants.values()) {
    const everybody = [global.egressDeny, egress.deny]
    judge(egress.allow, everybody)
    for (const agent of egress.agents.values()) judge(agent.allow, [...everybody, agent.deny])
  }
  return idle
}

function whyIdle(
  pattern: HostPattern,
  deny: readonly HostTable[],
  global: GlobalPolicy,
): string | null {
  const wanted = pattern.port === null ? USUAL_PORTS : [pattern.port]
  const open = wanted.filter((port) => global.ports.has(port))
  if (open.length === 0) {
    const here = `egress.ports of _global.json ${portsOf(global)}`
    return pattern.port === null
      ? `without a port it is for 80 and 443, and ${here}`
      : `port ${pattern.port} is not listed: ${here}; add it there, or take the rule out`
  }
  const denied = open.map((port) => denyingRule(pattern, port, deny))
  const [first] = denied
  if (first != null && denied.every((rule) => rule !== null)) {
    const rules = [...new Set(denied.flatMap((rule) => (rule === null ? [] : [rule])))]
    const named = rules.map(({ text, id }) => `${text} is denied by ${id}`).join(', ')
    return `${named}; deny rules always win`
  }
  if (!pattern.wildcard && isMetadataName(pattern.host))
    return 'no agent reaches the metadata service of a cloud'
  if (parseIp(pattern.host) === null) return null
  const judged = judgeAddresses([pattern.host], open[0] ?? 443, global.addresses, [])
  if ('ips' in judged) return null
  const { rule } = judged
  if (rule.startsWith('denyCidrs')) return `the address is refused by ${rule} of _global.json`
  if (rule.startsWith('metadata'))
    return `the address is refused (${rule}): the metadata service of a cloud hands out credentials`
  return `the address is refused (${rule}) unless allowCidrs of _global.json has it`
}

/** A rule that denies the whole pattern at this port. */
function denyingRule(
  { host, wildcard }: HostPattern,
  port: number,
  deny: readonly HostTable[],
): HostRule | null {
  // no rule has exactly this name, so only rules for all hosts below match
  const name = wildcard ? `*.${host}` : host
  for (const table of deny) {
    const rule = findRule(table, name, firstDenying, port)
    if (rule !== null) return rule
  }
  return null
}

function portsOf({ ports, portsRule }: GlobalPolicy): string {
  if (ports.size === 0) return 'is empty'
  const list = [...ports].toSorted((a, b) => a - b)
  const shown = list.slice(0, SHOWN).join(', ')
  const more = list.length > SHOWN ? ` and ${list.length - SHOWN} more` : ''
  return `has ${shown}${more}${portsRule === null ? ' by default' : ''}`
}
