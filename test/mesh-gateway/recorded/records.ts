/** Audit records for the tests of this folder, as the ports would write them under a policy. */
import type { Peer } from '@clawmesh/proto'
import { startsTask } from '../../../mesh-gateway/src/policy/decide/task-methods.ts'
import type { PolicySnapshot } from '../../../mesh-gateway/src/policy/index.ts'
import { caseJudge } from '../../../mesh-gateway/src/recorded/decide-case.ts'
import {
  agentNames,
  type RecordedCase,
  readCase,
  readFields,
} from '../../../mesh-gateway/src/recorded/recorded-case.ts'

export interface Traffic {
  readonly agent: Peer
  readonly host: string
  readonly port: number
  readonly request: { readonly method: string; readonly path: string } | null
  readonly ip: string
  readonly actors: readonly Peer[] | null
}

export interface CallTraffic {
  readonly caller: Peer
  readonly callee: Peer
  readonly method: string
  /** 1: the caller begins the chain; 2: the origin delegated to it; more: with others in between. */
  readonly hop: number
  readonly origin: Peer
}

const BETWEEN = { tenant: 'initech', agent: 'between' }

export function idOf({ tenant, agent }: Peer): string {
  return `spiffe://mesh.internal/tenant/${tenant}/agent/${agent}`
}

/** The line of the audit log, and what was decided. */
export function egressLine(traffic: Traffic, policy: PolicySnapshot): string {
  const { agent, host, port, request, ip, actors } = traffic
  const line = (allowed: boolean, code: string | null, rule: string | null) =>
    JSON.stringify({
      time: '2026-11-22T12:00:00.000Z',
      event: 'egress',
      tenant: agent.tenant,
      agent_id: agent.agent,
      chain: actors?.map(idOf) ?? null,
      refused_actor: null,
      destination_host: host,
      destination_port: port,
      destination_ip: allowed ? ip : null,
      method: request?.method ?? 'CONNECT',
      path: request?.path ?? null,
      action_allowed: allowed,
      reason: code,
      rule,
    })
  // as it would be judged, had it been let through
  const judged = caseJudge(policy)(caseOf(line(true, null, null)))
  return line(judged.code === null, judged.code, judged.rule)
}

export function callLine(traffic: CallTraffic, policy: PolicySnapshot): string {
  const { caller, callee, method, hop, origin } = traffic
  const line = (allowed: boolean, code: string | null, rule: string | null) => {
    const before = hop === 1 ? [] : [origin, ...Array(hop - 2).fill(BETWEEN)]
    // of a call that begins a task, and was let through, the chain as it goes on
    const chain = allowed && startsTask(method) ? [...before, caller] : before
    return JSON.stringify({
      time: '2026-11-22T12:00:00.000Z',
      event: 'delegation',
      tenant: caller.tenant,
      agent_id: caller.agent,
      caller: idOf(caller),
      callee: idOf(callee),
      grpc_method: method,
      grpc_status: allowed ? 0 : 7,
      hop: chain.length === 0 ? null : chain.length,
      chain: chain.length === 0 ? null : chain.map(idOf),
      action_allowed: allowed,
      reason: code,
      rule,
    })
  }
  const judged = caseJudge(policy)(caseOf(line(true, null, null)))
  return line(judged.code === null, judged.code, judged.rule)
}

export function caseOf(line: string): RecordedCase {
  const reading = readCase(readFields(line), agentNames())
  if (typeof reading === 'string') throw new Error(`${reading}: ${line}`)
  return reading
}
