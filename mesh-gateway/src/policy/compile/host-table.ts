/** Host rules, found by look-up: exact hosts in one map, wildcards by their parent host in another. */
import type { Steps } from '../../process/in-slices.ts'
import { type HostRule, type RulesOfHost, rulesOfHostInSteps } from './rules-of-host.ts'

/** Rules, or hosts, between two pauses; a host with many rules has pauses of its own. */
const STRIDE = 16

export interface HostTable {
  readonly rules: readonly HostRule[]
  readonly exact: ReadonlyMap<string, RulesOfHost>
  /** By the parent host of the wildcard. */
  readonly below: ReadonlyMap<string, RulesOfHost>
  /** Length of the longest host in `below`. */
  readonly longestBelow: number
}

export function* hostTableInSteps(rules: readonly HostRule[]): Steps<HostTable> {
  const exact = new Map<string, HostRule[]>()
  const below = new Map<string, HostRule[]>()
  let longestBelow = 0
  for (const [place, rule] of rules.entries()) {
    const { host, wildcard } = rule.pattern
    const there = (wildcard ? below : exact).get(host)
    if (there === undefined) (wildcard ? below : exact).set(host, [rule])
    else there.push(rule)
    if (wildcard) longestBelow = Math.max(longestBelow, host.length)
    if (place % STRIDE === STRIDE - 1) yield
  }
  return Object.freeze({
    rules: Object.freeze([...rules]),
    exact: yield* rulesByHost(exact),
    below: yield* rulesByHost(below),
    longestBelow,
  })
}

/**
 * The first rule for the host that `pick` accepts: exact ones first, then the nearest wildcard. An IP literal matches
 * no wildcard, since no pattern has a number as its parent.
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

function* rulesByHost(
  byHost: ReadonlyMap<string, readonly HostRule[]>,
): Steps<Map<string, RulesOfHost>> {
  const found = new Map<string, RulesOfHost>()
  for (const [host, theirs] of byHost) {
    found.set(host, yield* rulesOfHostInSteps(theirs))
    if (found.size % STRIDE === 0) yield
  }
  return found
}
