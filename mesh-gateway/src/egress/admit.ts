/**
 * Admits a request through these gates, in this order: credential, rate of the agent, policy, limits, one DNS lookup,
 * address rules. Each gate takes the result of the one before. Never looks up a name that policy refuses.
 */
import { MeshError } from '@clawmesh/proto'
import type { GatedClient } from '../limits/connection-gate.ts'
import type { Limits, MaybePromise, Release } from '../limits/limits.ts'
import type { Admitted } from '../live/grounds.ts'
import { judgeAddresses } from '../net/judge-addresses.ts'
import type { ListenAddress } from '../net/port.ts'
import { isMetadataName } from '../net/special-ranges.ts'
import type { EgressDecision, EgressQuestion } from '../policy/decide/decision.ts'
import { refusalOf, toldRule } from '../policy/read/told.ts'
import type { Resolver } from '../resolve/resolver.ts'
import type { Metrics } from '../telemetry/metrics-port.ts'
import { type AuthenticateBy, authenticate, type Principal } from './authenticate.ts'
import { leadsBehindEch } from './carry/judge-first-bytes.ts'
import {
  type CountingContext,
  checkAgent,
  countRefusal,
  notePrincipal,
  overBudget,
} from './count-refusals.ts'
import { decideTarget } from './decide-target.ts'
import { enterLimits, takeOwnRate } from './enter-limits.ts'
import type { RequestHead } from './http1/request-head.ts'
import type { Tunnels } from './live/live-tunnels.ts'
import type { PolicyView } from './policy-view.ts'
import { Refused, refuse } from './refused.ts'
import type { Target } from './request.ts'
import { unresolved } from './unresolved.ts'
import { type DialPlan, planDial } from './upstream/dial.ts'

/** What the gates use. */
export interface AdmissionContext extends AuthenticateBy, CountingContext {
  readonly limits: Limits
  readonly tunnels: Pick<Tunnels, 'settled'>
  readonly resolver: Pick<Resolver, 'addresses'>
  readonly metrics: Pick<Metrics, 'dns'>
  policy(): PolicyView
  ownAddresses(): readonly ListenAddress[]
}

/** The result of each gate that a request has passed; null for gates that it has not reached. */
export interface Admission {
  readonly principal: Principal | null
  /** With its port resolved. */
  readonly target: Target
  readonly decision: EgressDecision | null
  /** The grounds of the admission, to be judged again later. */
  readonly admitted: Admitted<EgressQuestion> | null
  readonly generation: number
  /** As in LiveTunnel. */
  readonly counted: boolean
  /**
   * A dial plan, or the refusal. `answer-here`: the request may go no further, and the gateway answers in place of the
   * destination.
   */
  readonly result: DialPlan | Refused | 'answer-here'
  /** To be called when the request has ended. */
  release(): void
}

const NOT_KNOWN = Object.freeze({ principal: null, decision: null, admitted: null })

export async function admit(
  head: RequestHead,
  asked: Target,
  client: GatedClient,
  context: AdmissionContext,
): Promise<Admission> {
  const policy = context.policy()
  const { generation } = policy
  const unknown = { ...NOT_KNOWN, target: asked, generation, counted: true }
  const release = () => {}
  const principal =
    overBudget(head.fields, asked.form, client, context) ??
    (await authenticate(head.fields, asked.form, context))
  notePrincipal(principal, client, context.refusals)
  if (principal instanceof Refused) return { ...unknown, result: principal, release }
  // before the policy decision: a refused request counts against the rate too
  const rating = enterRate(principal, policy, context)
  const rated = rating instanceof Promise ? await rating : rating
  if (rated !== null) return { ...unknown, principal, result: rated, release }
  const { target, question, decision } = decideTarget(principal, asked, head, policy)
  const admitted = { grounds: principal.grounds, question }
  const { settled: counted } = context.tunnels
  const known = { principal, target, decision, admitted, generation, counted }
  const refused = refusalFor(principal, decision) ?? hiddenBehindEch(target, policy)
  if (refused !== null) {
    countRefusal(refused, principal, context.refusals)
    return { ...known, result: refused, release }
  }
  if (head.maxForwards === 0) return { ...known, result: 'answer-here', release }
  const entering = enter(principal, decision, target, head, context)
  const entered = entering instanceof Promise ? await entering : entering
  if (entered instanceof Refused) return { ...known, result: entered, release }
  try {
    const result = await locate(target, principal, decision, policy, context)
    if (result instanceof Refused) countRefusal(result, principal, context.refusals)
    return { ...known, result, release: entered }
  } catch (error) {
    // release here: the permits would stay taken for ever
    entered()
    throw error
  }
}

/** Null while the agent has refusals left in its budget, and requests in its rate. */
function enterRate(
  principal: Principal,
  policy: PolicyView,
  { limits, refusals }: Pick<AdmissionContext, 'limits' | 'refusals'>,
): MaybePromise<Refused | null> {
  const { agent } = principal
  const refused = checkAgent(principal, refusals)
  if (refused !== null) return refused
  const bounds = policy.bounds(agent)
  if (bounds === null || bounds.limits.requestsPerMinute === null) return null
  try {
    const taken = takeOwnRate(agent, bounds, limits)
    return taken instanceof Promise ? taken.catch(unavailable) : taken
  } catch (error) {
    return unavailable(error)
  }
}

/** Null when the decision allows the request. */
function refusalFor({ agent }: Principal, decision: EgressDecision): Refused | null {
  if (decision.action !== 'deny') return null
  return new Refused(
    'policy',
    refusalOf(decision, agent.tenant),
    toldRule(decision.rule, agent.tenant),
  )
}

function hiddenBehindEch(target: Target, { tunnelTls }: PolicyView): Refused | null {
  if (!leadsBehindEch(target, tunnelTls)) return null
  const hint = `behind ${target.host} any host of its provider may hide; if that is wanted, list it in egress.tls.echOuterNames of _global.json`
  return refuse('tls', 'MESH_EGRESS_ECH', { hint })
}

function enter(
  principal: Principal,
  decision: EgressDecision,
  target: Target,
  head: RequestHead,
  { limits }: Pick<AdmissionContext, 'limits'>,
): MaybePromise<Release | Refused> {
  try {
    const entered = enterLimits(principal, decision, target, head, limits)
    return entered instanceof Promise ? entered.catch(unavailable) : entered
  } catch (error) {
    return unavailable(error)
  }
}

/** Limits that are unavailable refuse the request too. */
function unavailable(error: unknown): Refused {
  if (error instanceof MeshError) return new Refused('limits', error)
  throw error
}

async function locate(
  target: Target,
  principal: Principal,
  decision: EgressDecision,
  policy: PolicyView,
  context: AdmissionContext,
): Promise<DialPlan | Refused> {
  if (isMetadataName(target.host))
    return addressRefusal('the name is one of a metadata service', 'metadata name')
  const ips = target.isIp ? [target.host] : await lookUp(target.host, principal, context)
  if (ips instanceof Refused) return ips
  const judged = judgeAddresses(ips, target.port, policy.addresses, context.ownAddresses())
  if ('ips' in judged) return planDial(target, decision, judged)
  const where = judged.address === null ? 'an answer' : judged.address
  return addressRefusal(
    target.isIp ? `${where} is not allowed` : `the name resolves to ${where}, which is not allowed`,
    judged.rule,
  )
}

async function lookUp(
  host: string,
  { agent }: Principal,
  { resolver, metrics }: Pick<AdmissionContext, 'resolver' | 'metrics'>,
): Promise<string[] | Refused> {
  const start = performance.now()
  try {
    const answers = await resolver.addresses(host, `${agent.tenant}/${agent.agent}`)
    return answers.map((answer) => answer.ip)
  } catch (cause) {
    return unresolved(cause)
  } finally {
    metrics.dns('egress', (performance.now() - start) / 1000)
  }
}

function addressRefusal(message: string, rule: string): Refused {
  const own = rule === 'the gateway itself'
  const metadata = rule.startsWith('metadata')
  return refuse('address', 'MESH_EGRESS_ADDRESS_REFUSED', {
    message,
    rule,
    ...(own ? { hint: 'the ports of the gateway itself cannot be reached through it' } : {}),
    ...(metadata ? { hint: 'addresses of metadata services hand out credentials' } : {}),
  })
}
