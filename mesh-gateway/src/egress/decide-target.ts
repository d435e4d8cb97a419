/** Asks policy about a target, and resolves its port where the client named none. Pure. */
import type { EgressDecision, EgressQuestion } from '../policy/decide/decision.ts'
import type { Principal } from './authenticate.ts'
import { overrideOf } from './http1/override.ts'
import type { RequestHead } from './http1/request-head.ts'
import type { PolicyView } from './policy-view.ts'
import { DEFAULT_PORTS, type Target } from './request.ts'

export interface DecidedTarget {
  /** With its port resolved. */
  readonly target: Target
  readonly question: EgressQuestion
  readonly decision: EgressDecision
}

/**
 * In relay form without a port, the rule that allows the destination gives the scheme, and so the port: 443, or 80
 * where a rule says http.
 */
export function decideTarget(
  principal: Principal,
  target: Target,
  head: Pick<RequestHead, 'method' | 'fields'>,
  policy: PolicyView,
): DecidedTarget {
  const { method, fields } = head
  const request =
    target.path === null
      ? null
      : { method, path: target.path, override: overrideOf(fields, method) }
  const secure = decide(principal, target, request, policy)
  const { action, scheme } = secure.decision
  if (target.portNamed || (action === 'allow' && scheme === 'https')) return secure
  const clear = decide(principal, { ...target, port: DEFAULT_PORTS.http }, request, policy)
  if (clear.decision.action === 'allow' && clear.decision.scheme === 'http') return clear
  // a rule for any port says http, and another forbids port 80: clear text must not go to 443 instead
  const forbidden = action === 'allow' && clear.decision.code !== 'MESH_POLICY_NOT_ALLOWED'
  return forbidden ? clear : secure
}

function decide(
  { agent, claims, actors }: Principal,
  target: Target,
  request: EgressQuestion['request'],
  policy: PolicyView,
): DecidedTarget {
  const question: EgressQuestion = {
    agent,
    host: target.host,
    port: target.port,
    request,
    allowedDestinations: claims.destinations ?? claims.allowed_destinations,
    withinChain: actors !== null,
    ...(actors === null ? {} : { actors }),
  }
  return { target, question, decision: policy.decide(question) }
}
