/**
 * Finds delegation rules that can never allow a call: denied completely, or without the other half that a call across
 * tenants needs. Reports only rules that can change no decision, not even in audit mode. Pure.
 */
import type { DelegationRule, RulesOfPair, RuleTable } from '../compile/rule-table.ts'
import { intersectMethods, methodMatches } from '../compile/selector.ts'
import { StepBudget } from '../compile/step-budget.ts'
import { withImplied } from '../decide/task-methods.ts'
import type { DelegationPolicy, PolicySnapshot, TenantPolicy } from '../snapshot.ts'
import type { IdleRule } from './idle-rule.ts'

interface Named {
  readonly tenant: string
  /** `*` is any agent of the tenant. */
  readonly agent: string
}

interface Ends {
  readonly from: Named
  readonly to: Named
}

/**
 * Maximum comparisons of rules and methods, for all of policy: rules that differ only in methods are compared with each
 * other.
 */
const MAX_COMPARED = 2_000_000

/** @param budget when it is spent, the remaining rules are not checked, and the first of them says so */
export function idleDelegationRules(
  policy: PolicySnapshot,
  budget: StepBudget = new StepBudget(MAX_COMPARED),
): IdleRule[] {
  const idle: IdleRule[] = []
  const hasMatch = createMatcher(budget)
  for (const { tenant, delegation } of policy.tenants.values())
    for (const [list, table] of [
      ['allow', delegation.allow],
      ['accept', delegation.accept],
    ] as const)
      for (const rule of rulesOf(table)) {
        const ends = { from: named(rule.from), to: named(rule.to) }
        const { from, to } = ends
        const crossing = from.tenant !== to.tenant
        const why =
          whyDenied(rule, ends, policy, budget) ??
          (crossing ? whyOneSided(list, rule, ends, policy, hasMatch) : null)
        if (budget.exhausted) return [...idle, { id: rule.id, message: TOO_MANY }]
        if (why === null) continue
        const shown = `"${shortly(from, tenant)}" to "${shortly(to, tenant)}"`
        idle.push({ id: rule.id, message: `${shown} has no effect: ${why}` })
      }
  return idle
}

const TOO_MANY =
  'there are too many rules to compare: this one and those after it were not looked at for rules that have no effect'

function whyDenied(
  rule: DelegationRule,
  { from, to }: Ends,
  { global, tenants }: PolicySnapshot,
  budget: StepBudget,
): string | null {
  const tables = [
    global.delegationDeny,
    ...[...new Set([from.tenant, to.tenant])].flatMap(
      (tenant) => tenants.get(tenant)?.delegation.deny ?? [],
    ),
  ]
  for (const table of tables)
    for (const caller of scopesOf(from))
      for (const callee of scopesOf(to))
        for (const deny of table.get(caller)?.get(callee)?.rules ?? []) {
          if (!budget.spend(1)) return null
          if (coversMethods(deny.methods, rule.methods, budget))
            return `it is denied by ${deny.id}; deny rules always win`
        }
  return null
}

/** For an `allow` the missing accept, for an `accept` the missing allow. */
function whyOneSided(
  list: 'allow' | 'accept',
  rule: DelegationRule,
  { from, to }: Ends,
  { tenants }: PolicySnapshot,
  hasMatch: Matcher,
): string | null {
  const allows = list === 'allow'
  const other = allows ? to : from
  const there = tenants.get(other.tenant)
  if (there === undefined)
    return `there is no ${other.tenant}.json, and a tenant without policy ${allows ? 'accepts nobody' : 'may do nothing'}`
  if (mayAudit(there.delegation, other)) return null
  const half = allows ? there.delegation.accept : there.delegation.allow
  return hasMatch(half, rule, { from, to }) ? null : missing(allows ? 'accept' : 'allow', there)
}

function missing(list: 'allow' | 'accept', { file }: TenantPolicy): string {
  return `a call across tenants needs both sides, and no rule of delegation.${list} of ${file} fits it`
}

/** Audit mode excuses the missing half, so the rule still has an effect. */
function mayAudit({ agents, others }: DelegationPolicy, { agent }: Named): boolean {
  if (agent !== '*') return (agents.get(agent) ?? others).mode === 'audit'
  return others.mode === 'audit' || agents.values().some(({ mode }) => mode === 'audit')
}

/** Tells whether a call exists that both the rule and one of the table match. */
type Matcher = (table: RuleTable, rule: DelegationRule, ends: Ends) => boolean

function createMatcher(budget: StepBudget): Matcher {
  // computed once: ten thousand rules may each match any caller
  const known = new Map<RuleTable, Map<string, RulesByCallee>>()
  const ofAnyCaller = (table: RuleTable, tenant: string) => {
    const byTenant = known.get(table) ?? new Map<string, RulesByCallee>()
    known.set(table, byTenant)
    const byTo = byTenant.get(tenant) ?? mergeCallers(table, tenant, budget)
    byTenant.set(tenant, byTo)
    return byTo
  }
  return (table, rule, { from, to }) => {
    const callers =
      from.agent === '*'
        ? [ofAnyCaller(table, from.tenant)]
        : [...whichSpeakOf(from, table, budget)]
    for (const byTo of callers)
      for (const { rules } of whichSpeakOf(to, byTo, budget))
        if (rules.some((one) => shareMethod(one, rule, budget))) return true
    return false
  }
}

type RulesByCallee = ReadonlyMap<string, Pick<RulesOfPair, 'rules'>>

function mergeCallers(table: RuleTable, tenant: string, budget: StepBudget): RulesByCallee {
  const caller = { tenant, agent: '*' }
  const rules = [...whichSpeakOf(caller, table, budget)].flatMap(rulesIn)
  const byTo = Map.groupBy(rules, (rule) => rule.to)
  return new Map([...byTo].map(([to, theirs]) => [to, { rules: theirs }]))
}

/** The entries for the agent, or for any agent of the tenant. */
function* whichSpeakOf<T>(
  { tenant, agent }: Named,
  map: ReadonlyMap<string, T>,
  budget: StepBudget,
): Generator<T> {
  if (agent === '*') {
    for (const [name, about] of map) {
      if (!budget.spend(1)) return
      if (name.startsWith(`${tenant}/`)) yield about
    }
    return
  }
  for (const name of [`${tenant}/${agent}`, `${tenant}/*`]) {
    const about = map.get(name)
    if (about !== undefined) yield about
  }
}

/** After the budget is spent, true for any two. */
function shareMethod(one: DelegationRule, other: DelegationRule, budget: StepBudget): boolean {
  if (!budget.spend(1 + (one.methods?.length ?? 0) + (other.methods?.length ?? 0))) return true
  const both = intersectMethods(withImplied(one.methods), withImplied(other.methods))
  return both?.length !== 0
}

/** The names by which a deny rule may cover the agent. */
function scopesOf({ tenant, agent }: Named): ReadonlySet<string> {
  return new Set([`${tenant}/${agent}`, `${tenant}/*`, '*'])
}

/** True when each allowed pattern is within a denied one. */
function coversMethods(
  deny: readonly string[] | null,
  allow: readonly string[] | null,
  budget: StepBudget,
): boolean {
  if (deny === null || deny.includes('*')) return true
  return (
    allow?.every((pattern) => budget.spend(deny.length) && methodMatches(deny, pattern)) ?? false
  )
}

function named(text: string): Named {
  const [tenant = '', agent = ''] = text.split('/')
  return { tenant, agent }
}

function shortly({ tenant, agent }: Named, own: string): string {
  return tenant === own ? agent : `${tenant}/${agent}`
}

function rulesOf(table: RuleTable): DelegationRule[] {
  return [...table.values()].flatMap(rulesIn)
}

function rulesIn(byTo: ReadonlyMap<string, RulesOfPair>): DelegationRule[] {
  return [...byTo.values()].flatMap(({ rules }) => rules)
}
