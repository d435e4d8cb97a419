/** Compiles the egress part of a policy file into the rules and limits that decide-egress.ts uses. Pure. */
import { parseHostPattern } from '../../net/host-pattern.ts'
import { atOneGo, type Steps } from '../../process/in-slices.ts'
import type { EgressLimits } from '../decide/decision.ts'
import type { EgressRuleDocument, TenantDocument } from '../read/schema.ts'
import { mapInSteps, type Partly, STRIDE, validated } from '../read/validated.ts'
import type { AgentEgress, EgressPolicy } from '../snapshot.ts'
import { hostTableInSteps } from './host-table.ts'
import { parsePathGlob } from './path-glob.ts'
import { type HostRule, hostRule } from './rules-of-host.ts'

const NO_RULES = atOneGo(hostTableInSteps([]))

export function* compileEgress(file: string, document: TenantDocument): Steps<EgressPolicy> {
  const { egress = {}, mode = 'enforce' } = document
  const tenantLimits = egress.tenantLimits === undefined ? null : egressLimits(egress.tenantLimits)
  const agents = new Map<string, AgentEgress>()
  const allowedAgent = new Map<string, string>()
  for (const [name, agent] of Object.entries(egress.agents ?? {})) {
    const at = `${file}#/egress/agents/${name}`
    yield
    const allow = yield* allowRules(agent.allow, `${at}/allow`)
    for (const [index, rule] of allow.entries()) {
      if (!rule.pattern.wildcard && !allowedAgent.has(rule.pattern.host))
        allowedAgent.set(rule.pattern.host, name)
      if (index % STRIDE === STRIDE - 1) yield
    }
    agents.set(
      name,
      Object.freeze({
        mode: agent.mode ?? mode,
        allow: yield* hostTableInSteps(allow),
        deny: yield* hostTableInSteps(yield* denyRules(agent.deny, `${at}/deny`)),
        limits: egressLimits({ ...egress.limits, ...agent.limits }),
        tenantLimits,
      }),
    )
  }
  const allow = yield* allowRules(egress.allow, `${file}#/egress/allow`)
  const children = new Map<string, HostRule>()
  for (const [index, rule] of allow.entries()) {
    const parent = rule.pattern.host.slice(rule.pattern.host.indexOf('.') + 1)
    if (!rule.pattern.wildcard && !children.has(parent)) children.set(parent, rule)
    if (index % STRIDE === STRIDE - 1) yield
  }
  return Object.freeze({
    allow: yield* hostTableInSteps(allow),
    deny: yield* hostTableInSteps(yield* denyRules(egress.deny, `${file}#/egress/deny`)),
    others: Object.freeze({
      mode,
      allow: NO_RULES,
      deny: NO_RULES,
      limits: egressLimits(egress.limits ?? {}),
      tenantLimits,
    }),
    agents,
    allowedAgent,
    children,
  })
}

function* allowRules(
  list: readonly (string | EgressRuleDocument)[] = [],
  at: string,
): Steps<HostRule[]> {
  const rules: HostRule[] = []
  for (const [index, entry] of list.entries()) {
    const id = `${at}/${index}`
    if (index % STRIDE === 0) yield
    if (typeof entry === 'string') {
      rules.push(hostRule(id, validated(parseHostPattern(entry))))
      continue
    }
    const { host, methods = null, scheme = 'https', noServerName } = entry
    const paths =
      entry.paths === undefined
        ? null
        : yield* mapInSteps(entry.paths, (text) => validated(parsePathGlob(text)))
    const withoutServerName = noServerName === 'allow'
    const options = { methods, paths, scheme, withoutServerName }
    rules.push(hostRule(id, validated(parseHostPattern(host)), options))
  }
  return rules
}

export function denyRules(list: readonly string[] = [], at: string): Steps<HostRule[]> {
  return mapInSteps(list, (text, index) =>
    hostRule(`${at}/${index}`, validated(parseHostPattern(text))),
  )
}

function egressLimits(limits: Partly<EgressLimits>): EgressLimits {
  const requestsPerMinute = limits.requestsPerMinute ?? null
  const tenth = requestsPerMinute === null ? null : Math.ceil(requestsPerMinute / 10)
  return Object.freeze({
    requestsPerMinute,
    burst: limits.burst ?? tenth,
    concurrentTunnels: limits.concurrentTunnels ?? null,
    concurrentRequests: limits.concurrentRequests ?? null,
    maxBodyBytes: limits.maxBodyBytes ?? null,
  })
}
