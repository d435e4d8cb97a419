/**
 * A question to policy as an operator asks it, and its answer as JSON: for `mesh-gateway explain`, `mesh-gateway policy
 * explain --json` and the explain form of the console. Pure.
 */
import path from 'node:path'
import { isDnsLabel, type Peer } from '@clawmesh/proto'
import { canonicalName } from '../../net/host.ts'
import { formatHostPattern } from '../../net/host-pattern.ts'
import type { PolicySnapshot } from '../snapshot.ts'
import { type Explanation, explainDelegation, explainEgress } from './explain.ts'

export interface Destination {
  readonly host: string
  readonly port: number
}

export type Asked =
  | {
      readonly plane: 'egress'
      readonly agent: Peer
      readonly to: Destination
      /** Null: a tunnel. */
      readonly request: { readonly method: string; readonly path: string } | null
      /** Patterns of the token. Null: the destination is among them. */
      readonly allowedDestinations: readonly string[] | null
      readonly withinChain: boolean
    }
  | {
      readonly plane: 'delegation'
      readonly from: Peer
      readonly to: Peer
      /** `package.Service/Method`. */
      readonly method: string
      readonly withinChain: boolean
    }

/** The question in constant field names, and the answer. */
export interface Answered
  extends Pick<Explanation, 'action' | 'code' | 'reason' | 'rule' | 'mode' | 'hint' | 'limits'> {
  readonly plane: 'egress' | 'delegation'
  readonly within_chain: boolean
  /** The path of the file of the rule, or of the file that lacks one; null when there is none. */
  readonly file: string | null
}

/** The tenants whose policy decides. */
export function tenantsAsked(asked: Asked): readonly string[] {
  return asked.plane === 'egress' ? [asked.agent.tenant] : [asked.from.tenant, asked.to.tenant]
}

/** In one line: `acme/planner to api.github.com:443 (tunnel)`. */
export function askedInWords(asked: Asked): string {
  if (asked.plane === 'delegation')
    return `${nameOf(asked.from)} to ${nameOf(asked.to)} (${asked.method})`
  const { request } = asked
  const what = request === null ? 'tunnel' : `${request.method} ${request.path}`
  return `${nameOf(asked.agent)} to ${shown(asked.to)} (${what})`
}

/** @param dir the policy directory, for `file` */
export function explainAsked(asked: Asked, policy: PolicySnapshot, dir: string): Answered {
  const { plane, withinChain } = asked
  if (plane === 'delegation') {
    const { from: caller, to: callee, method } = asked
    const explanation = explainDelegation({ caller, callee, method, withinChain }, policy)
    const facts = { plane, caller: nameOf(caller), callee: nameOf(callee), method }
    return { ...facts, within_chain: withinChain, ...said(explanation, dir) }
  }
  const { agent, to, request } = asked
  const allowedDestinations = asked.allowedDestinations ?? [shown(to)]
  const question = { agent, ...to, request, allowedDestinations, withinChain }
  const facts = { plane, agent: nameOf(agent), destination: shown(to) }
  const how = request ?? { method: 'CONNECT', path: null }
  return {
    ...facts,
    ...how,
    within_chain: withinChain,
    ...said(explainEgress(question, policy), dir),
  }
}

function said(explanation: Explanation, dir: string) {
  const { action, code, reason, rule, mode, limits, hint } = explanation
  const file = explanation.file === null ? null : path.join(dir, explanation.file)
  return { action, code, reason, rule, file, mode, hint, limits }
}

/** Of `tenant/agent`; null for anything else. */
export function readPeer(text: string): Peer | null {
  const [tenant = '', agent = '', ...rest] = text.split('/')
  return rest.length > 0 || !isDnsLabel(tenant) || !isDnsLabel(agent) ? null : { tenant, agent }
}

/** Of `host[:port]`, port 443 unless named; null for anything else. */
export function readDestination(text: string): Destination | null {
  const [, name = '', port = '443'] = /^(\[[^\]]*\]|[^:[\]]*)(?::(\d{1,5}))?$/.exec(text) ?? []
  const host = canonicalName(name)
  if (typeof host === 'string' || Number(port) < 1 || Number(port) > 65_535) return null
  return { host: host.name, port: Number(port) }
}

function nameOf({ tenant, agent }: Peer): string {
  return `${tenant}/${agent}`
}

function shown(to: Destination): string {
  return formatHostPattern({ ...to, wildcard: false })
}
