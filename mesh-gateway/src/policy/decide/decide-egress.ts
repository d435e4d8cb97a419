/**
 * Decides whether an agent may reach a destination. Pure: no I/O, no clock, no logging. Refusing is a result.
 *
 * In this order: the tenant has policy; no deny rule (global, tenant, agent) matches; the agent may originate, or acts
 * within a chain; the port is one of the mesh's; a rule allows it; the token allows it; and all this holds for every
 * agent in the chain. The first actor of a chain is its origin, and must be allowed to originate. Audit mode excuses
 * the missing rule and nothing else.
 */
import type { ErrorCode, Peer } from '@clawmesh/proto'
import { ANY_DESTINATION, includes, isDestinationSet, textsOf } from '../../net/destination-set.ts'
import { embeddedIpv4 } from '../../net/embedded-ipv4.ts'
import { canonicalName } from '../../net/host.ts'
import { parseHostPattern, portMatches, usualPort } from '../../net/host-pattern.ts'
import { formatIp, parseIp } from '../../net/ip.ts'
import { findRule, type HostTable } from '../compile/host-table.ts'
import { firstAllowing, firstDenying, type HostRule } from '../compile/rules-of-host.ts'
import type { StepBudget } from '../compile/step-budget.ts'
import {
  type AgentEgress,
  delegationOf,
  mayOriginateRule,
  type PolicySnapshot,
  type TenantPolicy,
  whyWithoutPolicy,
} from '../snapshot.ts'
import { AskedRequest } from './asked-request.ts'
import type { Action, EgressDecision, EgressLimits, EgressQuestion } from './decision.ts'
import { costHint, deniedHint, notAllowedHint, portHint, tokenHint } from './egress-hint.ts'

type Bounds = Pick<EgressDecision, 'mode' | 'limits' | 'tenantLimits'>

const NOBODY: readonly Peer[] = Object.freeze([])
const NO_LIMITS: EgressLimits = Object.freeze({
  requestsPerMinute: null,
  burst: null,
  concurrentTunnels: null,
  concurrentRequests: null,
  maxBodyBytes: null,
})
const NO_POLICY: Bounds = Object.freeze({ mode: 'enforce', limits: NO_LIMITS, tenantLimits: null })
/** For a destination without an allow rule. */
const STRICT = Object.freeze({ scheme: 'https', withoutServerName: false } as const)
const ORIGINATE_HINT =
  'it may act within a delegation only: exchange the delegation token that came with the task for an egress token'
/** The end of an IPv4 address, in any spelling. */
const NUMERIC_END = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/
const CANONICAL_NAME = /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/

/** @param budget for the whole decision, all agents of the chain included. Default DECISION_STEPS */
export function decideEgress(
  question: EgressQuestion,
  policy: PolicySnapshot,
  budget: StepBudget | null = null,
): EgressDecision {
  const { actors = NOBODY, withinChain = actors.length > 0 } = question
  const asked = new AskedRequest(question, budget)
  let decision = decideForOne(question, withinChain, policy, asked)
  if (decision.action === 'deny' || actors.length === 0) return decision
  for (const [depth, actor] of actors.entries()) {
    const theirs = decideForOne({ ...question, agent: actor }, depth > 0, policy, asked)
    if (theirs.action !== 'deny') {
      decision = asBoth(decision, theirs)
      continue
    }
    return { ...decision, ...refusedActor(actor, theirs, question.agent) }
  }
  return decision
}

/** The stricter of two rules holds for the whole chain. */
function asBoth(own: EgressDecision, theirs: EgressDecision): EgressDecision {
  const withoutServerName = own.withoutServerName && theirs.withoutServerName
  if (theirs.path === null && withoutServerName === own.withoutServerName) return own
  return { ...own, withoutServerName, path: theirs.path ?? own.path }
}

/** The reason for an actor of another tenant is shown only to that tenant and the operator. */
function refusedActor(actor: Peer, theirs: EgressDecision, reader: Peer) {
  const who = `the chain came through ${actor.tenant}/${actor.agent}, which may not reach it`
  const why = theirs.hint === null ? who : `${who}: ${theirs.hint}`
  const refused = { action: 'deny', code: 'MESH_CHAIN_ACTOR_REFUSED', actor } as const
  return actor.tenant === reader.tenant
    ? { ...refused, rule: theirs.rule, hint: why }
    : { ...refused, rule: theirs.rule, hint: who, operatorHint: why }
}

/** Decides for one agent, without its chain. */
function decideForOne(
  question: EgressQuestion,
  withinChain: boolean,
  policy: PolicySnapshot,
  asked: AskedRequest,
): EgressDecision {
  const { agent: peer, port } = question
  const tenant = policy.tenants.get(peer.tenant)
  if (tenant === undefined)
    return verdict('deny', 'MESH_POLICY_NO_TENANT', null, noTenantHint(peer, policy), NO_POLICY)
  const agent = tenant.egress.agents.get(peer.agent) ?? tenant.egress.others
  const { mode } = agent
  const refuse = (code: ErrorCode, rule: string | null, hint: string | null) =>
    verdict('deny', code, rule, hint, agent)

  const host = canonical(question.host)
  if (host === null) return refuse('MESH_EGRESS_MALFORMED', null, null)
  const denied = findDeny(policy, tenant, agent, host, port)
  if (denied !== null) return refuse('MESH_POLICY_DENIED', denied.id, deniedHint(denied))
  if (!withinChain && !delegationOf(tenant, peer).mayOriginate)
    return refuse('MESH_POLICY_MAY_NOT_ORIGINATE', mayOriginateRule(tenant, peer), ORIGINATE_HINT)
  if (!policy.global.ports.has(port))
    return refuse('MESH_EGRESS_PORT_REFUSED', policy.global.portsRule, portHint(host, port, policy))

  const rule =
    findRule(tenant.egress.allow, host, firstAllowing, asked) ??
    findRule(agent.allow, host, firstAllowing, asked)
  const missing = whyMissing(rule, asked)
  if (missing !== null && mode === 'enforce')
    return refuse(
      missing,
      null,
      missing === 'MESH_POLICY_TOO_COSTLY'
        ? costHint(host, tenant)
        : notAllowedHint(question, host, tenant, agent, asked),
    )
  if (!tokenAllows(question.allowedDestinations, host, port))
    return refuse(
      'MESH_TOKEN_DESTINATION',
      null,
      tokenHint(textsOf(question.allowedDestinations), host, port),
    )
  return rule === null || missing !== null
    ? verdict('audit', missing, null, null, agent)
    : verdict('allow', null, rule.id, null, agent, rule, rule.paths && asked.path)
}

/** Null when the rule allows it. After the budget ran out, an earlier rule may exist, so the result is a refusal. */
function whyMissing(rule: HostRule | null, { undecided, fault }: AskedRequest): ErrorCode | null {
  if (undecided) return 'MESH_POLICY_TOO_COSTLY'
  if (rule !== null) return null
  return fault === 'too-long' ? 'MESH_EGRESS_PATH_TOO_LONG' : 'MESH_POLICY_NOT_ALLOWED'
}

function findDeny(
  policy: PolicySnapshot,
  tenant: TenantPolicy,
  agent: AgentEgress,
  host: string,
  port: number,
): HostRule | null {
  const found = searchDeny(policy, tenant, agent, host, port)
  if (found !== null || !host.includes(':')) return found
  // [64:ff9b::192.0.2.1] may lead to 192.0.2.1, and must not bypass its rule
  const address = parseIp(host)
  for (const embedded of address === null ? [] : embeddedIpv4(address)) {
    const inside = searchDeny(policy, tenant, agent, formatIp(embedded), port)
    if (inside !== null) return inside
  }
  return null
}

function searchDeny(
  policy: PolicySnapshot,
  tenant: TenantPolicy,
  agent: AgentEgress,
  host: string,
  port: number,
): HostRule | null {
  return (
    findIn(policy.global.egressDeny, host, port) ??
    findIn(tenant.egress.deny, host, port) ??
    findIn(agent.deny, host, port)
  )
}

function findIn(table: HostTable, host: string, port: number): HostRule | null {
  return table.rules.length === 0 ? null : findRule(table, host, firstDenying, port)
}

function tokenAllows(
  destinations: EgressQuestion['allowedDestinations'],
  host: string,
  port: number,
): boolean {
  if (isDestinationSet(destinations)) return includes(destinations, { host, wildcard: false, port })
  for (const text of destinations) {
    if (text === host && usualPort(port)) return true
    // fast path: parsing is expensive, and usual names do not need it
    if (CANONICAL_NAME.test(text)) continue
    if (text === ANY_DESTINATION) return true
    if (
      text.startsWith('*.') &&
      CANONICAL_NAME.test(text.slice(2)) &&
      !host.endsWith(text.slice(1))
    )
      continue
    const pattern = parseHostPattern(text)
    if (typeof pattern === 'string' || !portMatches(pattern, port)) continue
    if (pattern.wildcard ? host.endsWith(`.${pattern.host}`) : host === pattern.host) return true
  }
  return false
}

/** Hosts arrive in canonical form. One that does not is converted here: no spelling may bypass a deny rule. */
function canonical(host: string): string | null {
  if (CANONICAL_NAME.test(host) && host.length <= 253 && !NUMERIC_END.test(host)) return host
  const name = canonicalName(host)
  if (typeof name === 'string') return null
  // the parser of the request has turned 127.1 into 127.0.0.1: here such a spelling is a fault of the calling code
  return name.isIp && !host.includes(':') && name.name !== host ? null : name.name
}

function noTenantHint({ tenant, agent }: Peer, policy: PolicySnapshot): string {
  if (policy.closed.has(tenant)) return whyWithoutPolicy(policy, tenant)
  return `the agent is ${tenant}/${agent}, and there is no ${tenant}.json in the policy directory; add it, or use a token of the tenant that was meant`
}

function verdict(
  action: Action,
  code: ErrorCode | null,
  rule: string | null,
  hint: string | null,
  { mode, limits, tenantLimits }: Bounds,
  { scheme, withoutServerName }: Pick<HostRule, 'scheme' | 'withoutServerName'> = STRICT,
  path: string | null = null,
): EgressDecision {
  return {
    action,
    code,
    rule,
    hint,
    mode,
    limits,
    tenantLimits,
    scheme,
    withoutServerName,
    path,
  }
}
