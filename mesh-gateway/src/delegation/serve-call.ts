/**
 * Serves one delegated call, from its first header to its callee. The checks come in this order: certificate, request
 * headers and route, policy and limits, peer.
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
import { createDenseSet } from '../live/dense-set.ts'
import { startsTask } from '../policy/decide/task-methods.ts'
import type { PolicySnapshot } from '../policy/snapshot.ts'
import type { RevocationJudge } from '../revocation/judge.ts'
import {
  ActiveCall,
  type ActiveCallOptions,
  type ActiveCalls,
  type Carriage,
} from './active-call.ts'
import { admit, takeTurn } from './admit.ts'
import { type Call, isGrpc, meshMetadata, readCall } from './call.ts'
import type { ChainGate } from './chain/chain-gate.ts'
import { limitsOfChain } from './chain/limits-of-chain.ts'
import { type Client, judgeClient } from './client/authenticate.ts'
import { checkHeaderSize } from './client/check-header-size.ts'
import type { OpenCalls } from './client/open-calls.ts'
import { checkRefusals } from './count-refusals.ts'
import { headOf, notGrpc, protocolOf } from './other-protocols/protocol-of.ts'
import type { OwnServices } from './own-services/own-services.ts'
import { isReflection, type ReflectionFilter } from './reflection/reflection-filter.ts'
import type { PeerRoute, RouteNames } from './route.ts'
import type { UpstreamSession } from './upstream/session.ts'
import type { Upstreams } from './upstream/upstreams.ts'

export interface CallHandlerOptions extends ActiveCallOptions {
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
  /** Why calls are refused now; null while they are served. */
  readonly closedFor: () => MeshError | null
}

export interface CallHandler {
  handle(
    stream: ServerHttp2Stream,
    /** Names and values in turn, without whitespace around values. */
    rawHeaders: readonly string[],
    client: Client,
  ): void
  /** Ends all open calls, or those of one connection, with MESH_GATEWAY_DRAINING. */
  drain(client?: Client, message?: string): void
}

export function createCallHandler(options: CallHandlerOptions): CallHandler {
  const { identity, spiffe, policy, limits, guardLimits, chain, revocations, refusals } = options
  const waitingRoom = createWaitingRoom(limits)
  const calls: ActiveCalls = createDenseSet()

  return {
    handle(stream, rawHeaders, client) {
      const { generation } = policy.current()
      const served = new ActiveCall(stream, client, generation, options, calls)
      try {
        begin(served, rawHeaders)
      } catch (cause) {
        served.refuse(cause)
      }
    },
    drain(client, message) {
      calls.visit((served) => {
        if (client === undefined || served.client === client) served.drain(message)
      })
    },
  }

  function begin(served: ActiveCall, rawHeaders: readonly string[]): void {
    const { client, record, permits } = served
    if (!isGrpc(rawHeaders)) {
      served.protocol = protocolOf(headOf(rawHeaders))
      throw notGrpc(served.protocol)
    }
    checkRefusals(refusals, client)
    const certificate = judgeClient(client, identity.current(), Date.now(), revocations)
    const closed = options.closedFor()
    if (closed !== null) throw closed
    permits.hold(options.openCalls.enter(certificate.identity))
    checkHeaderSize(rawHeaders, guardLimits)
    const call = readCall(rawHeaders, client.ownPort)
    record.call = call
    const { route, callee } = client.routes.to(call.target, options.names(), spiffe)
    record.route = route
    record.callee = callee ?? identity.current().identity.id
    if (call.timeoutMs !== null) served.startDeadline(call.timeoutMs)
    if (route.kind === 'self') {
      if (call.chain.token === null) callSelf(served, certificate, call)
      else
        present(served, certificate, call.chain.token)
          .then(() => callSelf(served, certificate, call))
          .catch((cause: unknown) => served.refuse(cause))
    } else if (call.chain.token !== null || startsTask(call.method))
      callInChain(served, certificate, call, route, record.callee).catch((cause: unknown) =>
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

  /** Verifies the token that the caller presents, and returns its chain. */
  async function present(
    { record }: ActiveCall,
    { identity: caller }: PeerCertificate,
    token: string,
  ): Promise<void> {
    record.presented = await chain.present(token, caller.id)
    record.link = record.presented
  }

  function callSelf(served: ActiveCall, certificate: PeerCertificate, call: Call): void {
    if (served.ended) return
    const { record } = served
    const session = options.ownServices.acquire(certificate, call.method)
    record.own = options.ownServices.begin(certificate)
    const mesh = options.ownServices.metadata(record.own, call)
    carry(served, session, { call, mesh, elsewhere: null })
  }

  /** Checks policy and limits. Returns the caller. */
  function enter(
    { client, record, permits }: ActiveCall,
    { identity: caller }: PeerCertificate,
    call: Call,
    route: PeerRoute,
    withinChain: boolean,
  ): MaybePromise<AgentIdentity> {
    if (caller.kind !== 'agent') throw new MeshError('MESH_IDENTITY_NOT_AGENT')
    const question = { caller, route, method: call.method, withinChain }
    const decision = client.routes.decide(question, policy.current())
    record.decision = decision
    return admit(caller, decision, policy.current(), limits, permits)
  }

  /** Serves a call within a chain of delegation, or one that begins or extends a chain. */
  async function callInChain(
    served: ActiveCall,
    certificate: PeerCertificate,
    call: Call,
    route: PeerRoute,
    callee: string,
  ): Promise<void> {
    const { record, permits } = served
    if (call.chain.token !== null) await present(served, certificate, call.chain.token)
    if (served.ended) return
    const parent = record.link
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
    await takeTurn(caller, route.peer, policy.current(), waitingRoom, permits, mayGo)
    if (served.ended) return
    const link = await chain.extend(question())
    if (served.ended) return
    record.link = link.claims
    callPeer(served, caller, call, route, METADATA_DELEGATION, link.token)
  }

  function callPeer(
    served: ActiveCall,
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
    // reflection shows a caller only the methods that it may call
    const pair = { caller, callee: route.peer, withinChain: served.record.link !== null }
    const shown = (ready: UpstreamSession) => options.reflection.through(ready, pair)
    const elsewhere = async (failed: UpstreamSession) => shown(await acquire(failed))
    const session = acquire()
    const ready = session instanceof Promise ? session.then(shown) : shown(session)
    carry(served, ready, { call, mesh, elsewhere })
  }
}

/** Synchronous when a session is available. */
function carry(
  served: ActiveCall,
  session: MaybePromise<UpstreamSession>,
  carriage: Carriage,
): void {
  if (!(session instanceof Promise)) served.carry(session, carriage)
  else
    session
      .then((ready) => served.carry(ready, carriage))
      .catch((cause: unknown) => served.refuse(cause))
}
