/** Delegation rules, found by look-up. Names are full here: `acme/planner`, `acme/*`, and `*` for anybody. */
import type { Peer } from '@clawmesh/proto'
import { methodMatches } from './selector.ts'

export interface DelegationRule {
  /** `acme.json#/delegation/allow/0` */
  readonly id: string
  readonly from: string
  readonly to: string
  /** Null: any. */
  readonly methods: readonly string[] | null
}

/** By `from`, then by `to`. */
export type RuleTable = ReadonlyMap<string, ReadonlyMap<string, readonly DelegationRule[]>>

export function ruleTable(rules: readonly DelegationRule[]): RuleTable {
  const table = new Map<string, Map<string, DelegationRule[]>>()
  for (const rule of rules) {
    const byTo = table.get(rule.from) ?? new Map<string, DelegationRule[]>()
    table.set(rule.from, byTo)
    const there = byTo.get(rule.to)
    if (there === undefined) byTo.set(rule.to, [rule])
    else there.push(rule)
  }
  return table
}

/** The rule that speaks of the call, the most specific one first; null when none does. */
export function findDelegationRule(
  table: RuleTable,
  caller: Peer,
  callee: Peer,
  method: string,
): DelegationRule | null {
  return find(table, caller, callee, (rule) => methodMatches(rule.methods, method))
}

/** As findDelegationRule, whatever the method: for hints. */
export function findPair(table: RuleTable, caller: Peer, callee: Peer): DelegationRule | null {
  return find(table, caller, callee, () => true)
}

/** All rules that speak of the caller. */
export function rulesOfCaller(table: RuleTable, caller: Peer): DelegationRule[] {
  return scopes(caller).flatMap((from) => [...(table.get(from)?.values() ?? [])].flat())
}

/** What a peer goes by in rules, the most specific first. */
export function scopes(peer: Peer): [string, string, string] {
  return [`${peer.tenant}/${peer.agent}`, `${peer.tenant}/*`, '*']
}

function find(
  table: RuleTable,
  caller: Peer,
  callee: Peer,
  test: (rule: DelegationRule) => boolean,
): DelegationRule | null {
  if (table.size === 0) return null
  const to = scopes(callee)
  for (const from of scopes(caller)) {
    const byTo = table.get(from)
    if (byTo === undefined) continue
    for (const scope of to) {
      const rules = byTo.get(scope)
      if (rules === undefined) continue
      for (const rule of rules) if (test(rule)) return rule
    }
  }
  return null
}
