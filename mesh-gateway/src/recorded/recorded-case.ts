/** Reads an audit record as a case: the question to policy, and the outcome. */
import { isIP } from 'node:net'
import { createSpiffeTemplate, isDnsLabel, isDnsName, type Peer } from '@clawmesh/proto'
import { canonicalName } from '../net/host.ts'
import { formatHostPattern } from '../net/host-pattern.ts'
import type { DelegationQuestion, EgressQuestion } from '../policy/decide/decision.ts'
import { startsTask } from '../policy/decide/task-methods.ts'

interface Outcome {
  readonly time: string | null
  readonly allowed: boolean
  /** The error code; null on success. */
  readonly code: string | null
  readonly rule: string | null
  /** The number of requests of the record: a summary of repeated refusals stands for several. */
  readonly times: number
}

export interface EgressCase extends Outcome {
  readonly plane: 'egress'
  readonly question: EgressQuestion
  /** The connected address; null without a connection. */
  readonly ip: string | null
  readonly refusedActor: Peer | null
}

export interface DelegationCase extends Outcome {
  readonly plane: 'delegation'
  readonly question: DelegationQuestion
  /** The length of the chain including this call, 1 where it begins; null for a call that does not extend it. */
  readonly hop: number | null
  /** Tenants of the agents in the chain, including the caller's: the hop limit of each counts. */
  readonly chainTenants: ReadonlySet<string>
}

export type RecordedCase = EgressCase | DelegationCase

/** `foreign`: not a line of an audit log. `other`: a record that policy did not decide. */
export type Reading = RecordedCase | 'foreign' | 'other'

/** The agent of a SPIFFE ID; null when it names no agent. */
export type AgentOf = (id: string) => Peer | null

/** Refusals that depend on policy. The others would occur under any policy. */
const OF_POLICY: ReadonlySet<string> = Object.freeze(
  new Set([
    'MESH_POLICY_DENIED',
    'MESH_POLICY_NOT_ALLOWED',
    'MESH_POLICY_NOT_ACCEPTED',
    'MESH_POLICY_NO_TENANT',
    'MESH_POLICY_MAY_NOT_ORIGINATE',
    'MESH_POLICY_TOO_COSTLY',
    'MESH_CHAIN_HOPS_EXCEEDED',
    'MESH_CHAIN_ACTOR_REFUSED',
    'MESH_EGRESS_PATH_TOO_LONG',
    'MESH_EGRESS_PORT_REFUSED',
    'MESH_EGRESS_ADDRESS_REFUSED',
  ]),
)

/**
 * @param agentPath template of SPIFFE IDs, the setting spiffe.agentPath. An audit log may contain several trust
 *   domains.
 */
export function agentNames(agentPath?: string): AgentOf {
  return (id) => {
    const trustDomain = /^spiffe:\/\/([^/]+)\//.exec(id)?.[1]
    if (trustDomain === undefined || !isDnsName(trustDomain)) return null
    const template = agentPath === undefined ? {} : { agentPath }
    const identity = createSpiffeTemplate({ trustDomain, ...template }).parse(id)
    return identity?.kind === 'agent' ? { tenant: identity.tenant, agent: identity.agent } : null
  }
}

export type Fields = ReadonlyMap<string, unknown>

/** The fields of a line; none when it is not an object. */
export function readFields(line: string): Fields {
  let record: unknown
  try {
    record = JSON.parse(line)
  } catch {
    // such lines are counted and reported
    return new Map()
  }
  return new Map(typeof record === 'object' && record !== null ? Object.entries(record) : [])
}

export function readCase(fields: Fields, agentOf: AgentOf): Reading {
  const allowed = fields.get('action_allowed')
  if (typeof allowed !== 'boolean') return 'foreign'
  const text = (name: string) => {
    const value = fields.get(name)
    return typeof value === 'string' ? value : null
  }
  const outcome = {
    time: text('time'),
    allowed,
    code: text('reason'),
    rule: text('rule'),
    times: timesOf(fields.get('repeated')),
  }
  if (!allowed && (outcome.code === null || !OF_POLICY.has(outcome.code)))
    return isEvent(fields.get('event')) ? 'other' : 'foreign'
  const agent = peer(text('tenant'), text('agent_id'))
  if (fields.get('event') === 'egress') return egressCase(fields, text, agent, outcome, agentOf)
  if (fields.get('event') === 'delegation')
    return delegationCase(fields, text, agent, outcome, agentOf)
  return 'foreign'
}

/** The tenants whose policy matters. */
export function tenantsOfCase(recorded: RecordedCase): string[] {
  if (recorded.plane === 'egress') {
    const { agent, actors = [] } = recorded.question
    return [agent, ...actors].map(({ tenant }) => tenant)
  }
  const { callee, caller } = recorded.question
  return [callee.tenant, ...new Set([caller.tenant, ...recorded.chainTenants])]
}

type TextOf = (name: string) => string | null

function egressCase(
  fields: Fields,
  text: TextOf,
  agent: Peer | null,
  outcome: Outcome,
  agentOf: AgentOf,
): Reading {
  const named = text('destination_host')
  const method = text('method')
  // the gateway's own endpoints have no destination
  if (named === null || agent === null) return 'other'
  const canonical = canonicalName(named)
  const port = fields.get('destination_port')
  if (typeof canonical === 'string' || method === null || !isPort(port)) return 'foreign'
  const host = canonical.name
  const path = text('path')
  const actors = chainOf(fields.get('chain'), agentOf)
  if (actors === 'foreign') return 'foreign'
  const [tenant = null, name = null] = text('refused_actor')?.split('/') ?? []
  return {
    ...outcome,
    plane: 'egress',
    question: {
      agent,
      host,
      port,
      request: path === null ? null : { method, path, override: text('override') },
      // the token's destinations are not recorded, but this one was among them
      allowedDestinations: [formatHostPattern({ host, port, wildcard: false })],
      ...(actors === null ? {} : { actors }),
    },
    ip: text('destination_ip') ?? (isIP(host) === 0 ? null : host),
    refusedActor: peer(tenant, name),
  }
}

function delegationCase(
  fields: Fields,
  text: TextOf,
  caller: Peer | null,
  outcome: Outcome,
  agentOf: AgentOf,
): Reading {
  const method = text('grpc_method')
  const callee = agentOf(text('callee') ?? '')
  // a call to the gateway's own services, or one that ended before the policy decision
  if (caller === null || callee === null || method === null) return 'other'
  const chain = chainOf(fields.get('chain'), agentOf)
  if (chain === 'foreign') return 'foreign'
  const hop = startsTask(method) ? hopOf(fields.get('hop'), outcome.allowed) : null
  return {
    ...outcome,
    plane: 'delegation',
    question: { caller, callee, method, withinChain: hop === null ? chain !== null : hop > 1 },
    hop,
    chainTenants: new Set([...(chain ?? []), caller].map(({ tenant }) => tenant)),
  }
}

/** An admitted call is recorded with its own hop, a refused one with its parent's. */
function hopOf(recorded: unknown, allowed: boolean): number {
  const known = typeof recorded === 'number' && Number.isSafeInteger(recorded) ? recorded : null
  return allowed ? (known ?? 1) : (known ?? 0) + 1
}

function chainOf(value: unknown, agentOf: AgentOf): readonly Peer[] | null | 'foreign' {
  if (value === null || value === undefined) return null
  if (!Array.isArray(value)) return 'foreign'
  const peers: Peer[] = []
  for (const id of value) {
    const found = typeof id === 'string' ? agentOf(id) : null
    if (found === null) return 'foreign'
    peers.push(found)
  }
  return peers
}

function peer(tenant: string | null, agent: string | null): Peer | null {
  if (tenant === null || agent === null) return null
  return isDnsLabel(tenant) && isDnsLabel(agent) ? { tenant, agent } : null
}

function timesOf(repeated: unknown): number {
  return typeof repeated === 'number' && Number.isSafeInteger(repeated) && repeated > 0
    ? repeated
    : 1
}

function isEvent(value: unknown): boolean {
  return value === 'egress' || value === 'delegation'
}

function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535
}
