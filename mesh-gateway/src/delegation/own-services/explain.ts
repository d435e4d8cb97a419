/**
 * MeshService.Explain: the policy decision for a call, and its reason, without making the call. An agent learns no more
 * than from the call itself: it may ask about calls of its own tenant only, and learns nothing of another tenant's
 * policy.
 */
import { type Identity, isDnsLabel, MeshError, type Peer, parsePeerName } from '@clawmesh/proto'
import { formatHostPattern, parseHostPattern } from '../../net/host-pattern.ts'
import {
  DEFAULT_METHOD,
  type Explanation,
  explainDelegation,
  explainToCaller,
  explainTunnelToAgent,
  parseMethodName,
  type TunnelExplanation,
} from '../../policy/decide/explain.ts'
import type { PolicySnapshot } from '../../policy/snapshot.ts'

export interface ExplainRequest {
  readonly from: string
  readonly to: string
  readonly method: string
  readonly within_chain: boolean
  /** host or host:port; empty for a question about a call. */
  readonly host: string
}

/** Empty strings for absent values, as in proto3. */
export interface ExplainResponse {
  readonly action: string
  readonly code: string
  readonly reason: string
  readonly rule: string
  readonly file: string
  readonly hint: string
  readonly mode: string
  readonly generation: number
  readonly some_requests: boolean
}

/** @throws MeshError MESH_EXPLAIN_INVALID, MESH_EXPLAIN_FOREIGN */
export function explainTo(
  asker: Identity,
  request: ExplainRequest,
  { policy, meshDomain }: { readonly policy: PolicySnapshot; readonly meshDomain: string },
): ExplainResponse {
  const own = asker.kind === 'agent' ? asker : null
  const named = (field: 'from' | 'to') => {
    const peer = parsePeer(request[field], own?.tenant ?? null, meshDomain)
    if (peer === null)
      throw new MeshError('MESH_EXPLAIN_INVALID', `${field} does not name an agent`)
    return peer
  }
  if (request.host !== '') return inWire(explainHost(own, request, policy))
  const caller = request.from === '' && own !== null ? own : named('from')
  if (own !== null && caller.tenant !== own.tenant) throw new MeshError('MESH_EXPLAIN_FOREIGN')
  const callee = named('to')
  const method = parseMethodName(request.method === '' ? DEFAULT_METHOD : request.method)
  if (method === null)
    throw new MeshError('MESH_EXPLAIN_INVALID', 'method is not package.Service/Method')
  const question = { caller, callee, method, withinChain: request.within_chain }
  return inWire((own === null ? explainDelegation : explainToCaller)(question, policy))
}

/** As of a tunnel, whose content nobody sees. */
function explainHost(
  agent: Peer | null,
  { from, to, method, host: asked, within_chain }: ExplainRequest,
  policy: PolicySnapshot,
): TunnelExplanation {
  if (agent === null || from !== '' || to !== '' || method !== '')
    throw new MeshError('MESH_EXPLAIN_INVALID', 'an agent asks about a host for itself')
  const pattern = parseHostPattern(asked)
  if (typeof pattern === 'string' || pattern.wildcard)
    throw new MeshError('MESH_EXPLAIN_INVALID', 'host does not name a host')
  const { host, port } = { ...pattern, port: pattern.port ?? 443 }
  const allowedDestinations = [formatHostPattern({ host, port, wildcard: false })]
  const question = { agent, host, port, allowedDestinations, withinChain: within_chain }
  return explainTunnelToAgent(question, policy)
}

function inWire({
  limits,
  someRequests = false,
  ...said
}: Explanation & Partial<TunnelExplanation>): ExplainResponse {
  const { code, reason, rule, file, hint } = said
  return {
    ...said,
    code: code ?? '',
    reason: reason ?? '',
    rule: rule ?? '',
    file: file ?? '',
    hint: hint ?? '',
    some_requests: someRequests,
  }
}

/** `researcher` of the caller's tenant, `globex/translator`, or a full name. */
function parsePeer(text: string, tenant: string | null, meshDomain: string): Peer | null {
  if (isDnsLabel(text)) return tenant === null ? null : { tenant, agent: text }
  const [first = '', second, ...rest] = text.split('/')
  if (second === undefined) return parsePeerName(first.toLowerCase(), meshDomain)
  if (rest.length > 0 || !isDnsLabel(first) || !isDnsLabel(second)) return null
  return { tenant: first, agent: second }
}
