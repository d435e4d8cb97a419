/** Lists what an agent is allowed: the destinations for its token, and the peers that it may call. */
import { MeshError, type Peer } from '@clawmesh/proto'
import {
  type DestinationSet,
  DestinationSetBuilder,
  destinationSet,
} from '../../net/destination-set.ts'
import type { HostPattern } from '../../net/host-pattern.ts'
import { atOneGo, inSlices, type Steps } from '../../process/in-slices.ts'
import { findRule, type HostTable } from '../compile/host-table.ts'
import {
  type DelegationRule,
  isForAnyMethod,
  rulesBetween,
  rulesOfCaller,
} from '../compile/rule-table.ts'
import { firstDenying } from '../compile/rules-of-host.ts'
import { intersectMethods } from '../compile/selector.ts'
import { StepBudget } from '../compile/step-budget.ts'
import type { AgentEgress, PolicySnapshot, TenantPolicy } from '../snapshot.ts'
import { withImplied } from './task-methods.ts'

export interface AllowedPeer {
  readonly tenant: string
  /** `*` is any agent of the tenant. */
  readonly agent: string
  /** Null: any. */
  readonly methods: readonly string[] | null
  readonly rule: string
}

/**
 * Host patterns that policy allows the agent, without those that a deny rule covers completely. Audit mode adds none:
 * it admits what policy does not name. Deny rules are found by look-up.
 */
export function allowedDestinations(policy: PolicySnapshot, agent: Peer): readonly string[] {
  return atOneGo(allowedInSteps(policy, agent)).texts
}

const NOTHING = destinationSet([])
/** Rules between two pauses. */
const STRIDE = 16

function* allowedInSteps(policy: PolicySnapshot, agent: Peer): Steps<DestinationSet> {
  const tenant = policy.tenants.get(agent.tenant)
  if (tenant === undefined) return NOTHING
  const own = egressOf(tenant, agent)
  const denied = [policy.global.egressDeny, tenant.egress.deny, own.deny].filter(
    ({ rules }) => rules.length > 0,
  )
  const { ports } = policy.global
  const open = (pattern: HostPattern) =>
    (pattern.port === null ? ports.has(80) || ports.has(443) : ports.has(pattern.port)) &&
    !denied.some((table) => coversWhole(table, pattern))
  const set = new DestinationSetBuilder()
  for (const { rules } of [tenant.egress.allow, own.allow])
    for (const [index, { text, pattern }] of rules.entries()) {
      if (open(pattern)) set.add(text, pattern)
      if (index % STRIDE === STRIDE - 1) yield
    }
  return set.built()
}

/** Maximum cached destinations, over all agents. */
const MAX_REMEMBERED = 500_000

/**
 * Like allowedDestinations, computed once per generation of policy, and once for all agents without rules of their own.
 * Works in slices, one agent of a tenant at a time, so that a tenant's agents cannot block the event loop.
 */
export function rememberDestinations(policy: {
  current(): PolicySnapshot
}): (agent: Peer) => Promise<DestinationSet> {
  let of: PolicySnapshot | null = null
  let count = 0
  const remembered = new Map<AgentEgress, Promise<DestinationSet>>()
  /** By tenant, the last running computation. */
  const running = new Map<string, Promise<DestinationSet>>()

  function findOut(snapshot: PolicySnapshot, agent: Peer): Promise<DestinationSet> {
    const before = running.get(agent.tenant) ?? Promise.resolve()
    const found = before.then(() => inSlices(allowedInSteps(snapshot, agent)))
    running.set(agent.tenant, found)
    return found.finally(() => {
      if (running.get(agent.tenant) === found) running.delete(agent.tenant)
    })
  }

  return (agent) => {
    const snapshot = policy.current()
    const tenant = snapshot.tenants.get(agent.tenant)
    if (tenant === undefined) return Promise.resolve(NOTHING)
    if (snapshot !== of || count > MAX_REMEMBERED) {
      remembered.clear()
      count = 0
    }
    of = snapshot
    const egress = egressOf(tenant, agent)
    const known = remembered.get(egress)
    if (known !== undefined) return known
    const found = findOut(snapshot, agent)
    remembered.set(egress, found)
    count += tenant.egress.allow.rules.length + egress.allow.rules.length + 1
    return found
  }
}

function egressOf({ egress }: TenantPolicy, { agent }: Peer): AgentEgress {
  return egress.agents.get(agent) ?? egress.others
}

/** True when a rule of the deny list covers the whole pattern. */
function coversWhole(deny: HostTable, { host, wildcard, port }: HostPattern): boolean {
  // no rule has exactly this name, so only rules for all hosts below match
  const name = wildcard ? `*.${host}` : host
  return findRule(deny, name, firstDenying, port ?? NO_PORT) !== null
}

/** No rule has this port: only rules without a port match. */
const NO_PORT = -1

/** Maximum listed peers, and maximum compared method patterns. */
const MAX_PEERS = 10_000
const MAX_COMPARED = 100_000

/**
 * The peers that the caller may call: allowed by its tenant, accepted by the callee's tenant, not denied for all
 * methods.
 * @throws MeshError MESH_POLICY_TOO_COSTLY when policy has too many rules for that
 */
export function allowedPeers(
  policy: PolicySnapshot,
  caller: Peer,
  budget: StepBudget = new StepBudget(MAX_COMPARED),
): AllowedPeer[] {
  const tenant = policy.tenants.get(caller.tenant)
  if (tenant === undefined || tenant.delegation.chain.maxHops === 0) return []
  const peers: AllowedPeer[] = []
  const add = (peer: AllowedPeer) => {
    if (peers.push(peer) > MAX_PEERS) throw tooCostly(caller)
  }
  for (const rule of rulesOfCaller(tenant.delegation.allow, caller).flatMap(({ rules }) => rules)) {
    const to = target(rule)
    if (isDenied(policy, caller, to)) continue
    if (to.tenant === caller.tenant) {
      add({ ...to, methods: withImplied(rule.methods), rule: rule.id })
      continue
    }
    for (const accept of acceptRules(policy, caller, to)) {
      const compared = (rule.methods?.length ?? 0) + (accept.methods?.length ?? 0)
      if (!budget.spend(1 + compared)) throw tooCostly(caller)
      const methods = intersectMethods(withImplied(rule.methods), withImplied(accept.methods))
      if (methods !== null && methods.length === 0) continue
      const both = { tenant: to.tenant, agent: to.agent === '*' ? target(accept).agent : to.agent }
      if (!isDenied(policy, caller, both))
        add({ ...both, methods, rule: `${rule.id} and ${accept.id}` })
    }
  }
  return peers
}

/** The rules of another tenant that accept the caller at the agent, or at any agent when that is `*`. */
function acceptRules(policy: PolicySnapshot, caller: Peer, to: Peer): DelegationRule[] {
  const accept = policy.tenants.get(to.tenant)?.delegation.accept
  if (accept === undefined) return []
  const pairs = to.agent === '*' ? rulesOfCaller(accept, caller) : rulesBetween(accept, caller, to)
  return pairs.flatMap(({ rules }) => rules)
}

function target(rule: DelegationRule): Peer {
  const [tenant = '', agent = ''] = rule.to.split('/')
  return { tenant, agent }
}

/** True when rules deny every method. For `*`, the rules for every agent of the tenant. */
function isDenied(policy: PolicySnapshot, caller: Peer, callee: Peer): boolean {
  const tables = [
    policy.global.delegationDeny,
    policy.tenants.get(caller.tenant)?.delegation.deny,
    policy.tenants.get(callee.tenant)?.delegation.deny,
  ]
  return tables.some(
    (table) => table !== undefined && rulesBetween(table, caller, callee).some(isForAnyMethod),
  )
}

function tooCostly({ tenant, agent }: Peer): MeshError {
  return new MeshError(
    'MESH_POLICY_TOO_COSTLY',
    `policy has too many rules for ${tenant}/${agent} to list its peers`,
  )
}
