/** Host rules, found by look-up: exact hosts in one map, what stands below a host in another. */
import { type HostRule, type RulesOfHost, rulesOfHost } from './rules-of-host.ts'

export interface HostTable {
  readonly rules: readonly HostRule[]
  readonly exact: ReadonlyMap<string, RulesOfHost>
  /** By the host that the wildcard stands below. */
  readonly below: ReadonlyMap<string, RulesOfHost>
  /** Length of the longest host in `below`. */
  readonly longestBelow: number
}

export function hostTable(rules: readonly HostRule[]): HostTable {
  const below = byHost(rules.filter(({ pattern }) => pattern.wildcard))
  return Object.freeze({
    rules: Object.freeze([...rules]),
    exact: byHost(rules.filter(({ pattern }) => !pattern.wildcard)),
    below,
    longestBelow: below.keys().reduce((longest, host) => Math.max(longest, host.length), 0),
  })
}

/**
 * The first rule for the host that is picked: of exact ones first, then of the nearest wildcard.
 * An IP literal meets no wildcard, since no pattern stands below a number.
 */
export function findRule<Asked>(
  table: HostTable,
  host: string,
  pick: (rules: RulesOfHost, asked: Asked) => HostRule | null,
  asked: Asked,
): HostRule | null {
  const exact = table.exact.get(host)
  const found = exact === undefined ? null : pick(exact, asked)
  if (found !== null || table.below.size === 0) return found
  for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
    if (host.length - dot > table.longestBelow + 1) continue
    const wider = table.below.get(host.slice(dot + 1))
    const rule = wider === undefined ? null : pick(wider, asked)
    if (rule !== null) return rule
  }
  return null
}

function byHost(rules: readonly HostRule[]): Map<string, RulesOfHost> {
  const found = new Map<string, RulesOfHost>()
  for (const [host, theirs] of Map.groupBy(rules, ({ pattern }) => pattern.host))
    found.set(host, rulesOfHost(theirs))
  return found
}
