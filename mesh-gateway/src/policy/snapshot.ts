/** The compiled policy of one moment, all files together. Immutable; a change makes a new one. */
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
  /** Names of its files, in order. */
  readonly files: readonly string[]
  readonly tenants: ReadonlyMap<string, TenantPolicy>
  /** Tenants whose file is broken and never was good: they are allowed nothing. */
  readonly closed: ReadonlySet<string>
  readonly global: GlobalPolicy
}

export interface GlobalPolicy {
  readonly egressDeny: HostTable
  /** The only ports open to tenants. */
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
  /** For agents without an entry of their own. */
  readonly others: AgentEgress
  readonly agents: ReadonlyMap<string, AgentEgress>
  /** By host, an agent whose own rules allow it: for hints. */
  readonly allowedAgent: ReadonlyMap<string, string>
  /** By parent domain, a rule for a host directly below: for hints. */
  readonly children: ReadonlyMap<string, HostRule>
}

export interface AgentEgress {
  readonly mode: Mode
  readonly allow: HostTable
  readonly deny: HostTable
  readonly limits: EgressLimits
  /** Limits of all agents of its tenant together. Null: no limit. */
  readonly tenantLimits: EgressLimits | null
}

/** Limits of an agent as a callee, for all callers together. */
export interface PeerLimits {
  readonly concurrentTasks: number
  /** Maximum waiting. */
  readonly queueLength: number
  /** Maximum wait of each, in milliseconds; the deadline of the call may end it sooner. */
  readonly queueMs: number
}

export interface DelegationPolicy {
  readonly allow: RuleTable
  readonly accept: RuleTable
  readonly deny: RuleTable
  readonly chain: ChainLimits
  /** Limits of all agents of the tenant together, as callers. Null: no limit. */
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
  /** Maximum length of a chain with an agent of this tenant. Null: `DEFAULT_MAX_HOPS`. */
  readonly maxHops: number | null
  /** Null: no limit. */
  readonly maxDelegationsPerRoot: number | null
}

/** For a tenant without maxHops. Longer chains have no use, except for loops through systems outside the mesh. */
export const DEFAULT_MAX_HOPS = 8

/** Rules for the first bytes in a tunnel. */
export function tunnelTls(policy: PolicySnapshot): TunnelTls {
  return policy.global.tunnelTls
}

/** The addresses to which destinations may resolve: additions to and exceptions from the public ones. */
export function addressRules(policy: PolicySnapshot): AddressRules {
  return policy.global.addresses
}

/** The delegation policy of an agent of the tenant, with or without its own entry. */
export function delegationOf({ delegation }: TenantPolicy, { agent }: Peer): AgentDelegation {
  return delegation.agents.get(agent) ?? delegation.others
}

/** False for an agent that may act only within a chain of delegation. */
export function mayOriginate(policy: PolicySnapshot, peer: Peer): boolean {
  const tenant = policy.tenants.get(peer.tenant)
  return tenant === undefined || delegationOf(tenant, peer).mayOriginate
}

/** Why a tenant without policy is allowed nothing, for its own agents and the operator. */
export function whyWithoutPolicy({ closed }: PolicySnapshot, tenant: string): string {
  return closed.has(tenant)
    ? `${tenant}.json in the policy directory is broken, and until it is mended nothing is allowed; mesh-gateway policy check names its faults`
    : `there is no ${tenant}.json in the policy directory; without one nothing is allowed`
}

/** The place of `mayOriginate: false` of an agent. */
export function mayOriginateRule({ file }: TenantPolicy, { agent }: Peer): string {
  return `${file}#/delegation/agents/${agent}/mayOriginate`
}

/** The limits of an agent, and of its tenant as a whole; null without policy. */
export function egressLimits(
  policy: PolicySnapshot,
  { tenant, agent }: Peer,
): Pick<AgentEgress, 'limits' | 'tenantLimits'> | null {
  const egress = policy.tenants.get(tenant)?.egress
  return egress?.agents.get(agent) ?? egress?.others ?? null
}

/** For an agent as a caller. Null: no limit. */
export function concurrentStreams(policy: PolicySnapshot, { tenant, agent }: Peer): number | null {
  const delegation = policy.tenants.get(tenant)?.delegation
  return (delegation?.agents.get(agent) ?? delegation?.others)?.limits.concurrentStreams ?? null
}

/** For all agents of the tenant together. Null: no limit. */
export function tenantLimits(policy: PolicySnapshot, tenant: string): DelegationLimits | null {
  return policy.tenants.get(tenant)?.delegation.tenantLimits ?? null
}

/** For an agent as a callee, over all callers. Null: no limit. */
export function peerLimits(policy: PolicySnapshot, { tenant, agent }: Peer): PeerLimits | null {
  const there = policy.tenants.get(tenant)
  return there === undefined ? null : delegationOf(there, { tenant, agent }).peerLimits
}

/** A tenant without policy may begin nothing. */
export function chainLimits(policy: PolicySnapshot, tenant: string): ChainLimits {
  return (
    policy.tenants.get(tenant)?.delegation.chain ??
    Object.freeze({ maxHops: 0, maxDelegationsPerRoot: 0 })
  )
}
