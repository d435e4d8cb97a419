/** Delegation rules, found by look-up. Names are complete here: `acme/planner`, `acme/*`, and `*` for any agent. */
import type { Peer } from '@clawmesh/proto'
import { atOneGo, type Steps } from '../../process/in-slices.ts'

/** Rules without methods between two pauses. */
const STRIDE = 16
const NONE = Number.POSITIVE_INFINITY

export interface DelegationRule {
  /** `acme.json#/delegation/allow/0` */
  readonly id: string
  readonly from: string
  readonly to: string
  /** Null: any. */
  readonly methods: readonly string[] | null
}

/** By `from`, then by `to`. */
export type RuleTable = ReadonlyMap<string, ReadonlyMap<string, RulesOfPair>>

/**
 * The rules with the same `from` and `to`, found by look-up: a list may have thousands, each with thousands of methods.
 */
export interface RulesOfPair {
  /** In the order of policy; at least one. */
  readonly rules: readonly DelegationRule[]
  /** Index of the first rule for any method; infinity when there is none. */
  forAll: number
  /** By pattern, `package.Service/Method` or `package.Service/*`, the index of the first rule with it. */
  readonly methods: ReadonlyMap<string, number>
  /** Length of the longest `package.Service/` with a rule for all its methods; 0 when there is none. */
  longestService: number
}

interface Building extends RulesOfPair {
  readonly rules: DelegationRule[]
  readonly methods: Map<string, number>
}

export function ruleTable(rules: readonly DelegationRule[]): RuleTable {
  return atOneGo(ruleTableInSteps(rules))
}

export function* ruleTableInSteps(rules: readonly DelegationRule[]): Steps<RuleTable> {
  const table = new Map<string, Map<string, Building>>()
  for (const [index, rule] of rules.entries()) {
    const byTo = table.get(rule.from) ?? new Map<string, Building>()
    table.set(rule.from, byTo)
    const there: Building = byTo.get(rule.to) ?? {
      rules: [],
      forAll: NONE,
      methods: new Map(),
      longestService: 0,
    }
    byTo.set(rule.to, there)
    const place = there.rules.push(rule) - 1
    if (rule.methods === null || rule.methods.includes('*'))
      there.forAll = Math.min(there.forAll, place)
    else for (const one of rule.methods) addMethod(there, one, place)
    if (rule.methods !== null || index % STRIDE === STRIDE - 1) yield
  }
  return table
}

function addMethod(there: Building, pattern: string, place: number): void {
  if (!there.methods.has(pattern)) there.methods.set(pattern, place)
  if (pattern.endsWith('/*'))
    there.longestService = Math.max(there.longestService, pattern.length - 1)
}

/** The rule that matches the call, the most specific one first; null when none does. */
export function findDelegationRule(
  table: RuleTable,
  caller: Peer,
  callee: Peer,
  method: string,
): DelegationRule | null {
  return find(table, caller, callee, (there) => firstFor(there, method))
}

/** Like findDelegationRule, for any method: for hints. */
export function findPair(table: RuleTable, caller: Peer, callee: Peer): DelegationRule | null {
  return find(table, caller, callee, ({ rules }) => rules[0])
}

/** All rules for the caller, grouped by `from` and `to`. */
export function rulesOfCaller(table: RuleTable, caller: Peer): RulesOfPair[] {
  return scopes(caller).flatMap((from) => [...(table.get(from)?.values() ?? [])])
}

/** All rules for both, grouped by `from` and `to`. */
export function rulesBetween(table: RuleTable, caller: Peer, callee: Peer): RulesOfPair[] {
  return scopes(caller).flatMap((from) =>
    scopes(callee).flatMap((to) => table.get(from)?.get(to) ?? []),
  )
}

/** True when a rule of the pair is for every method. */
export function isForAnyMethod({ forAll }: RulesOfPair): boolean {
  return forAll !== NONE
}

/** The names by which rules match a peer, the most specific first. */
export function scopes(peer: Peer): [string, string, string] {
  return [`${peer.tenant}/${peer.agent}`, `${peer.tenant}/*`, '*']
}

function find(
  table: RuleTable,
  caller: Peer,
  callee: Peer,
  pick: (there: RulesOfPair) => DelegationRule | undefined,
): DelegationRule | null {
  if (table.size === 0) return null
  const to = scopes(callee)
  for (const from of scopes(caller)) {
    const byTo = table.get(from)
    if (byTo === undefined) continue
    for (const scope of to) {
      const there = byTo.get(scope)
      const rule = there === undefined ? undefined : pick(there)
      if (rule !== undefined) return rule
    }
  }
  return null
}

function firstFor(
  { rules, forAll, methods, longestService }: RulesOfPair,
  method: string,
): DelegationRule | undefined {
  if (forAll === 0 || methods.size === 0) return rules[forAll]
  const first = Math.min(forAll, methods.get(method) ?? NONE)
  const service = first === 0 || longestService === 0 ? 0 : method.indexOf('/') + 1
  // the text is built only where a rule may use it
  if (service === 0 || service > longestService) return rules[first]
  return rules[Math.min(first, methods.get(`${method.slice(0, service)}*`) ?? NONE)]
}
