/** Host rules, found by look-up: exact hosts in one map, what stands below a host in another. */
import { formatHostPattern, type HostPattern } from '../net/host-pattern.ts'
import type { PathGlob } from './path-glob.ts'

export interface HostRule {
  /** `acme.json#/egress/allow/0` */
  readonly id: string
  /** The pattern as policy would write it. */
  readonly text: string
  readonly pattern: HostPattern
  /** Null: any. */
  readonly methods: readonly string[] | null
  /** Null: any. */
  readonly paths: readonly PathGlob[] | null
  /** What is spoken to the destination in relay form. */
  readonly scheme: Scheme
}

export type Scheme = 'https' | 'http'

export interface HostTable {
  readonly rules: readonly HostRule[]
  readonly exact: ReadonlyMap<string, readonly HostRule[]>
  /** By the host that the wildcard stands below. */
  readonly below: ReadonlyMap<string, readonly HostRule[]>
}

export function hostRule(
  id: string,
  pattern: HostPattern,
  methods: readonly string[] | null = null,
  paths: readonly PathGlob[] | null = null,
  scheme: Scheme = 'https',
): HostRule {
  return Object.freeze({ id, text: formatHostPattern(pattern), pattern, methods, paths, scheme })
}

export function hostTable(rules: readonly HostRule[]): HostTable {
  const exact = new Map<string, HostRule[]>()
  const below = new Map<string, HostRule[]>()
  for (const rule of rules) {
    const map = rule.pattern.wildcard ? below : exact
    const there = map.get(rule.pattern.host)
    if (there === undefined) map.set(rule.pattern.host, [rule])
    else there.push(rule)
  }
  return Object.freeze({ rules: Object.freeze([...rules]), exact, below })
}

/**
 * The first rule for the host that passes the test: exact ones first, then the nearest wildcard.
 * An IP literal meets no wildcard, since no pattern stands below a number.
 */
export function findRule(
  table: HostTable,
  host: string,
  test: (rule: HostRule) => boolean,
): HostRule | null {
  const found = first(table.exact.get(host), test)
  if (found !== null || table.below.size === 0) return found
  for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
    const wider = first(table.below.get(host.slice(dot + 1)), test)
    if (wider !== null) return wider
  }
  return null
}

/** True when the pattern, of an allow rule, leaves nothing that the deny pattern does not cover. */
export function covers(deny: HostPattern, allow: HostPattern): boolean {
  if (deny.port !== null && deny.port !== allow.port) return false
  if (!deny.wildcard) return !allow.wildcard && deny.host === allow.host
  return allow.host.endsWith(`.${deny.host}`) || (allow.wildcard && allow.host === deny.host)
}

function first(
  rules: readonly HostRule[] | undefined,
  test: (rule: HostRule) => boolean,
): HostRule | null {
  if (rules === undefined) return null
  for (const rule of rules) if (test(rule)) return rule
  return null
}
