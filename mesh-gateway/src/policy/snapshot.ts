/**
 * Policy as it stood at one moment, all files together, compiled for look-ups. Immutable; a change makes a new one.
 */
import type { Peer } from '@clawmesh/proto'
import type { AddressRules } from '../net/address-rules.ts'
import type { HostTable } from './compile/host-table.ts'
import type { RuleTable } from './compile/rule-table.ts'
import type { HostRule } from './compile/rules-of-host.ts'
import type { DelegationLimits, EgressLimits, TunnelTls } from './decide/decision.ts'

export type Mode = 'enforce' | 'audit'

export interface PolicySnapshot {
  /** 1 for the first one loaded; grows by one with each change. */
  readonly generation: number
  /** Names of the files it was made from, in order. */
  readonly files: readonly string[]
  readonly tenants: ReadonlyMap<string, TenantPolicy>
  /** Tenants whose file is there, is broken and never was good: nothing is allowed to them. */
  readonly closed: ReadonlySet<string>
  readonly global: GlobalPolicy
}

export interface GlobalPolicy {
  readonly egressDeny: HostTable
  /** No tenant gets others. */
  readonly ports: ReadonlySet<number>
  /** The rule that set them; null for the default. */
  readonly portsRule: string | null
  readonly addresses: AddressRules
  readonly tunnelTls: TunnelTls
  readonly delegationDeny: RuleTable
}

export interface TenantPolicy {
  readonly tenant: string
  readonly file: string
  readonly egress: EgressPolicy
  readonly delegation: DelegationPolicy
}

export interface EgressPolicy {
  readonly allow: HostTable
  readonly deny: HostTable
  /** For agents that are not named. */
  readonly others: AgentEgress
  readonly agents: ReadonlyMap<string, AgentEgress>
  /** By host, an agent whose own rules allow it: for hints. */
  readonly allowedAgent: ReadonlyMap<string, string>
  /** By parent domain, a rule for a host right below: for hints. */
  readonly children: ReadonlyMap<string, HostRule>
}

export interface AgentEgress {
  readonly mode: Mode
  readonly allow: HostTable
  readonly deny: HostTable
  readonly limits: EgressLimits
  /** Of all agents of its tenant together. Null: no limit. */
  readonly tenantLimits: EgressLimits | null
}

/** What an agent is given to do at once, by all callers together. */
export interface PeerLimits {
  readonly concurrentTasks: number
  /** How many more may wait for room. */
  readonly queueLength: number
  /** How long each waits at most, in milliseconds; its deadline may end it sooner. */
  readonly queueMs: number
}

export interface DelegationPolicy {
  readonly allow: RuleTable
  readonly accept: RuleTable
  readonly deny: RuleTable
  readonly chain: ChainLimits
  /** Of all agents of the tenant together, as callers. Null: no limit. */
  readonly tenantLimits: DelegationLimits | null
  readonly others: AgentDelegation
  readonly agents: ReadonlyMap<string, AgentDelegation>
}

export interface AgentDelegation {
  readonly mode: Mode
  readonly mayOriginate: boolean
  readonly limits: DelegationLimits
  /** As a callee. Null: no limit. */
  readonly peerLimits: PeerLimits | null
}

export interface ChainLimits {
  /** How long a chain with an agent of this tenant in it may be. Null: `DEFAULT_MAX_HOPS`. */
  readonly maxHops: number | null
  /** Null: no limit. */
  readonly maxDelegationsPerRoot: number | null
}

/** Of a tenant that sets no maxHops. Nobody has a use for longer chains; loops through the outside world have. */
export const DEFAULT_MAX_HOPS = 8

/** What the first bytes in a tunnel must be. */
export function tunnelTls(policy: PolicySnapshot): TunnelTls {
  return policy.global.tunnelTls
}

/** Which addresses destinations may resolve to, beyond and below the public ones. */
export function addressRules(policy: PolicySnapshot): AddressRules {
  return policy.global.addresses
}

/** What applies to an agent of the tenant, named there or not. */
export function delegationOf({ delegation }: TenantPolicy, { agent }: Peer): AgentDelegation {
  return delegation.agents.get(agent) ?? delegation.others
}

/** False of an agent that may act within a chain of delegation only. */
export function mayOriginate(policy: PolicySnapshot, peer: Peer): boolean {
  const tenant = policy.tenants.get(peer.tenant)
  return tenant === undefined || delegationOf(tenant, peer).mayOriginate
}

/** Why nothing is allowed to a tenant without policy, for its own agents and the operator. */
export function whyWithoutPolicy({ closed }: PolicySnapshot, tenant: string): string {
  return closed.has(tenant)
    ? `${tenant}.json in the policy directory is broken, and until it is mended nothing is allowed; mesh-gateway policy check names its faults`
    : `there is no ${tenant}.json in the policy directory; without one nothing is allowed`
}

/** Where `mayOriginate: false` of an agent stands. */
export function mayOriginateRule({ file }: TenantPolicy, { agent }: Peer): string {
  return `${file}#/delegation/agents/${agent}/mayOriginate`
}

/** What an agent, and its tenant as a whole, may have open and ask for; null without policy. */
export function egressLimits(
  policy: PolicySnapshot,
  { tenant, agent }: Peer,
): Pick<AgentEgress, 'limits' | 'tenantLimits'> | null {
  const egress = policy.tenants.get(tenant)?.egress
  return egress?.agents.get(agent) ?? egress?.others ?? null
}

/** Of an agent as a caller. Null: no limit. */
export function concurrentStreams(policy: PolicySnapshot, { tenant, agent }: Peer): number | null {
  const delegation = policy.tenants.get(tenant)?.delegation
  return (delegation?.agents.get(agent) ?? delegation?.others)?.limits.concurrentStreams ?? null
}

/** Of all agents of the tenant together. Null: no limit. */
export function tenantLimits(policy: PolicySnapshot, tenant: string): DelegationLimits | null {
  return policy.tenants.get(tenant)?.delegation.tenantLimits ?? null
}

/** Of an agent as a callee, whoever calls. Null: no limit. */
export function peerLimits(policy: PolicySnapshot, { tenant, agent }: Peer): PeerLimits | null {
  const there = policy.tenants.get(tenant)
  return there === undefined ? null : delegationOf(there, { tenant, agent }).peerLimits
}

/** Of a tenant without policy nothing may begin. */
export function chainLimits(policy: PolicySnapshot, tenant: string): ChainLimits {
  return (
    policy.tenants.get(tenant)?.delegation.chain ??
    Object.freeze({ maxHops: 0, maxDelegationsPerRoot: 0 })
  )
}
