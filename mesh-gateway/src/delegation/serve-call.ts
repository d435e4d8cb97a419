/**
 * One call from its first header to its callee, in the order of checks of the contract: certificate, then what is asked for,
 * then policy and limits, then the peer.
 */
import type { ServerHttp2Stream } from 'node:http2'
import type { IdentityStore, PeerCertificate } from '@clawmesh/agent-sdk/mesh'
import {
  type AgentIdentity,
  METADATA_DELEGATION,
  MeshError,
  type SpiffeTemplate,
} from '@clawmesh/proto'
import type { GuardLimits } from '../config/guard-limits.ts'
import type { Limits, MaybePromise } from '../limits/limits.ts'
import { createWaitingRoom } from '../limits/waiting-room.ts'
import { createRoll } from '../live/dense-set.ts'
import { startsTask } from '../policy/decide/task-methods.ts'
import type { PolicySnapshot } from '../policy/snapshot.ts'
import type { RevocationJudge } from '../revocation/judge.ts'
import {
  type Carriage,
  ServedCall,
  type ServedCallOptions,
  type ServedCalls,
} from './active-call.ts'
import { admit, takeTurn } from './admit.ts'
import { type Call, isGrpc, meshMetadata, readCall } from './call.ts'
import type { ChainGate } from './chain/chain-gate.ts'
import { limitsOfChain } from './chain/limits-of-chain.ts'
import { type Inbound, judgeInbound } from './client/authenticate.ts'
import { checkHeaderSize } from './client/check-header-size.ts'
import type { OpenCalls } from './client/open-calls.ts'
import { checkRefusals } from './count-refusals.ts'
import { headOf, notGrpc, protocolOf } from './other-protocols/protocol-of.ts'
import type { OwnServices } from './own-services/own-services.ts'
import { isReflection, type ReflectionFilter } from './reflection/reflection-filter.ts'
import type { PeerRoute, RouteNames } from './route.ts'
import type { UpstreamSession } from './upstream/session.ts'
import type { Upstreams } from './upstream/upstreams.ts'

export interface CallHandlerOptions extends ServedCallOptions {
  readonly identity: IdentityStore
  readonly spiffe: SpiffeTemplate
  readonly policy: { current(): PolicySnapshot }
  readonly revocations: RevocationJudge
  readonly limits: Limits
  readonly names: () => RouteNames
  readonly upstreams: Upstreams
  readonly ownServices: OwnServices
  readonly reflection: ReflectionFilter
  readonly chain: ChainGate
  readonly guardLimits: GuardLimits
  readonly openCalls: OpenCalls
  /** Why no call is served now; null when calls are. */
  readonly closedFor: () => MeshError | null
}

export interface CallHandler {
  handle(
    stream: ServerHttp2Stream,
    /** Names and values in turn, without whitespace around values. */
    rawHeaders: readonly string[],
    inbound: Inbound,
  ): void
  /** Ends all calls that are open, or those of one connection, with MESH_GATEWAY_DRAINING. */
  drain(inbound?: Inbound, message?: string): void
}

export function createCallHandler(options: CallHandlerOptions): CallHandler {
  const { identity, spiffe, policy, limits, guardLimits, chain, revocations, refusals } = options
  const waitingRoom = createWaitingRoom(limits)
  const calls: ServedCalls = createRoll()

  return {
    handle(stream, rawHeaders, inbound) {
      const { generation } = policy.current()
      const served = new ServedCall(stream, inbound, generation, options, calls)
      try {
        begin(served, rawHeaders)
      } catch (cause) {
        served.refuse(cause)
      }
    },
    drain(inbound, message) {
      calls.visit((served) => {
        if (inbound === undefined || served.inbound === inbound) served.drain(message)
      })
    },
  }

  function begin(served: ServedCall, rawHeaders: readonly string[]): void {
    const { inbound, story, stay } = served
    if (!isGrpc(rawHeaders)) {
      served.protocol = protocolOf(headOf(rawHeaders))
      throw notGrpc(served.protocol)
    }
    checkRefusals(refusals, inbound)
    const certificate = judgeInbound(inbound, identity.current(), Date.now(), revocations)
    const closed = options.closedFor()
    if (closed !== null) throw closed
    stay.hold(options.openCalls.enter(certificate.identity))
    checkHeaderSize(rawHeaders, guardLimits)
    const call = readCall(rawHeaders, inbound.ownPort)
    story.call = call
    const { route, callee } = inbound.flows.to(call.target, options.names(), spiffe)
    story.route = route
    story.callee = callee ?? identity.current().identity.id
    if (call.timeoutMs !== null) served.startDeadline(call.timeoutMs)
    if (route.kind === 'self') {
      if (call.chain.token === null) callSelf(served, certificate, call)
      else
        present(served, certificate, call.chain.token)
          .then(() => callSelf(served, certificate, call))
          .catch((cause: unknown) => served.refuse(cause))
    } else if (call.chain.token !== null || startsTask(call.method))
      callInChain(served, certificate, call, route, story.callee).catch((cause: unknown) =>
        served.refuse(cause),
      )
    else {
      const caller = enter(served, certificate, call, route, false)
      if (!(caller instanceof Promise)) callPeer(served, caller, call, route)
      else
        caller
          .then((admitted) => callPeer(served, admitted, call, route))
          .catch((cause: unknown) => served.refuse(cause))
    }
  }

  /** The chain that the caller acts in, by the token it presents. */
  async function present(
    { story }: ServedCall,
    { identity: caller }: PeerCertificate,
    token: string,
  ): Promise<void> {
    story.presented = await chain.present(token, caller.id)
    story.link = story.presented
  }

  function callSelf(served: ServedCall, certificate: PeerCertificate, call: Call): void {
    if (served.ended) return
    const { story } = served
    const session = options.ownServices.acquire(certificate, call.method)
    story.own = options.ownServices.begin(certificate)
    const mesh = options.ownServices.metadata(story.own, call)
    carry(served, session, { call, mesh, elsewhere: null })
  }

  /** Policy and limits. Answers who is calling. */
  function enter(
    { inbound, story, stay }: ServedCall,
    { identity: caller }: PeerCertificate,
    call: Call,
    route: PeerRoute,
    withinChain: boolean,
  ): MaybePromise<AgentIdentity> {
    if (caller.kind !== 'agent') throw new MeshError('MESH_IDENTITY_NOT_AGENT')
    const question = { caller, route, method: call.method, withinChain }
    const decision = inbound.flows.decide(question, policy.current())
    story.decision = decision
    return admit(caller, decision, policy.current(), limits, stay)
  }

  /** A call by somebody who acts within a chain of delegation, or who begins or extends one. */
  async function callInChain(
    served: ServedCall,
    certificate: PeerCertificate,
    call: Call,
    route: PeerRoute,
    callee: string,
  ): Promise<void> {
    const { story, stay } = served
    if (call.chain.token !== null) await present(served, certificate, call.chain.token)
    if (served.ended) return
    const parent = story.link
    const caller = await enter(served, certificate, call, route, parent !== null)
    if (served.ended) return
    if (!startsTask(call.method)) {
      callPeer(served, caller, call, route)
      return
    }
    const question = () => ({
      ...{ caller: caller.id, callee, parent, delegationId: call.delegationId },
      ...{ narrow: call.chain, links: certificate.links },
      ...limitsOfChain(policy.current(), caller, parent, spiffe),
    })
    const mayGo = () => chain.judge(question())
    await takeTurn(caller, route.peer, policy.current(), waitingRoom, stay, mayGo)
    if (served.ended) return
    const link = await chain.extend(question())
    if (served.ended) return
    story.link = link.claims
    callPeer(served, caller, call, route, METADATA_DELEGATION, link.token)
  }

  function callPeer(
    served: ServedCall,
    caller: AgentIdentity,
    call: Call,
    route: PeerRoute,
    ...more: string[]
  ): void {
    const mesh = meshMetadata(call, caller.id, caller.tenant)
    mesh.push(...more)
    const acquire = (failed?: UpstreamSession) =>
      options.upstreams.acquire(caller.tenant, route, call.chain, failed)
    if (!isReflection(call.method)) {
      const elsewhere = async (failed: UpstreamSession) => await acquire(failed)
      carry(served, acquire(), { call, mesh, elsewhere })
      return
    }
    // reflection shows a caller only what it may call
    const pair = { caller, callee: route.peer, withinChain: served.story.link !== null }
    const shown = (ready: UpstreamSession) => options.reflection.through(ready, pair)
    const elsewhere = async (failed: UpstreamSession) => shown(await acquire(failed))
    const session = acquire()
    const ready = session instanceof Promise ? session.then(shown) : shown(session)
    carry(served, ready, { call, mesh, elsewhere })
  }
}

/** At once when a session is at hand. */
function carry(
  served: ServedCall,
  session: MaybePromise<UpstreamSession>,
  carriage: Carriage,
): void {
  if (!(session instanceof Promise)) served.carry(session, carriage)
  else
    session
      .then((ready) => served.carry(ready, carriage))
      .catch((cause: unknown) => served.refuse(cause))
}
