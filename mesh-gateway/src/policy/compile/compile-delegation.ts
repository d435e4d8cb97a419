/** Compiles the delegation part of a policy file into the rules and limits that decide-delegation.ts uses. Pure. */
import type { Steps } from '../../process/in-slices.ts'
import type { DelegationLimits } from '../decide/decision.ts'
import type { DelegationRuleDocument, TenantDocument } from '../read/schema.ts'
import { mapInSteps, type Partly, validated } from '../read/validated.ts'
import type { AgentDelegation, DelegationPolicy, PeerLimits } from '../snapshot.ts'
import { type DelegationRule, ruleTableInSteps } from './rule-table.ts'
import { parseSelector } from './selector.ts'

const QUEUE_LENGTH = 100
const QUEUE_MS = 30_000

export function* compileDelegation(
  file: string,
  document: TenantDocument,
): Steps<DelegationPolicy> {
  const { delegation = {}, tenant, mode = 'enforce' } = document
  const at = `${file}#/delegation`
  const agents = new Map<string, AgentDelegation>()
  for (const [name, agent] of Object.entries(delegation.agents ?? {})) {
    yield
    agents.set(
      name,
      Object.freeze({
        mode: agent.mode ?? mode,
        mayOriginate: agent.mayOriginate ?? true,
        limits: delegationLimits({ ...delegation.limits, ...agent.limits }),
        peerLimits: compilePeerLimits({ ...delegation.peerLimits, ...agent.peerLimits }),
      }),
    )
  }
  return Object.freeze({
    allow: yield* ruleTableInSteps(yield* delegationRules(delegation.allow, `${at}/allow`, tenant)),
    accept: yield* ruleTableInSteps(
      yield* delegationRules(delegation.accept, `${at}/accept`, tenant),
    ),
    // in a deny list * stays *: an agent of another tenant must not escape it
    deny: yield* ruleTableInSteps(
      yield* delegationRules(delegation.deny, `${at}/deny`, tenant, '*'),
    ),
    chain: Object.freeze({
      maxHops: delegation.maxHops ?? null,
      maxDelegationsPerRoot: delegation.maxDelegationsPerRoot ?? null,
    }),
    tenantLimits:
      delegation.tenantLimits === undefined ? null : delegationLimits(delegation.tenantLimits),
    others: Object.freeze({
      mode,
      mayOriginate: true,
      limits: delegationLimits(delegation.limits ?? {}),
      peerLimits: compilePeerLimits(delegation.peerLimits ?? {}),
    }),
    agents,
  })
}

export function delegationRules(
  list: readonly DelegationRuleDocument[] = [],
  at: string,
  tenant: string | null,
  anybody: string = `${tenant}/*`,
): Steps<DelegationRule[]> {
  const full = (text: string) => {
    const selector = validated(parseSelector(text))
    if (selector.tenant !== null) return `${selector.tenant}/${selector.agent}`
    if (selector.agent === '*') return tenant === null ? '*' : anybody
    return `${tenant}/${selector.agent}`
  }
  return mapInSteps(list, (rule, index) =>
    Object.freeze({
      id: `${at}/${index}`,
      from: full(rule.from),
      to: full(rule.to),
      methods: rule.methods === undefined ? null : Object.freeze([...rule.methods]),
    }),
  )
}

function delegationLimits(limits: Partly<DelegationLimits>): DelegationLimits {
  return Object.freeze({
    callsPerMinute: limits.callsPerMinute ?? null,
    concurrentStreams: limits.concurrentStreams ?? null,
  })
}

function compilePeerLimits(limits: Partly<PeerLimits>): PeerLimits | null {
  const { concurrentTasks, queueLength = QUEUE_LENGTH, queueMs = QUEUE_MS } = limits
  return concurrentTasks === undefined
    ? null
    : Object.freeze({ concurrentTasks, queueLength, queueMs })
}
