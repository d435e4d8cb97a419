/**
 * One call from its first header to its audit record, in the order of checks of the contract: certificate,
 * then what is asked for, then policy and limits, then the peer. Every call ends in one record.
 */
import type { ServerHttp2Stream } from 'node:http2'
import type { IdentityStore, Log, PeerCertificate } from '@clawmesh/agent-sdk'
import {
  type AgentIdentity,
  GRPC_STATUS,
  METADATA_DELEGATION,
  MeshError,
  type SpiffeTemplate,
  uuidV7,
} from '@clawmesh/proto'
import type { AuditLog } from '../audit/audit-record.ts'
import type { Limits, MaybePromise } from '../limits/limits.ts'
import { createWaitingRoom } from '../limits/waiting-room.ts'
import type { PolicySnapshot } from '../policy/snapshot.ts'
import type { RevocationJudge } from '../revocation/judge.ts'
import type { Metrics } from '../telemetry/metrics-port.ts'
import { admit, takeTurn } from './admit.ts'
import { type Call, isGrpc, meshMetadata, readCall } from './call.ts'
import { CallRecords } from './call-records.ts'
import type { ChainGate } from './chain/chain-gate.ts'
import { limitsOfChain } from './chain/limits-of-chain.ts'
import { startsTask } from './chain/task-starting.ts'
import { checkRefusals, countRefusal, type RefusalBudgets } from './count-refusals.ts'
import { type Forwarding, forward, type Outcome } from './forward.ts'
import { startDeadline } from './grpc-timeout.ts'
import type { Backlog } from './guard/backlog.ts'
import { checkHeaderSize } from './guard/check-header-size.ts'
import type { GuardLimits } from './guard/guard-limits.ts'
import type { OpenCalls } from './guard/open-calls.ts'
import { type Inbound, judgeInbound } from './inbound.ts'
import { CallPlaces, joinTree } from './live/call-places.ts'
import { admittedOf } from './live/grounds.ts'
import type { LiveStreams } from './live/live-streams.ts'
import type { OwnServices } from './own-services/own-services.ts'
import { isReflection, type ReflectionFilter } from './reflection/reflection-filter.ts'
import { refuseRequest } from './refuse.ts'
import type { RouteNames } from './route.ts'
import { asMeshError } from './status-of.ts'
import { createStay } from './stay.ts'
import { actionOf, beginStory } from './story.ts'
import type { UpstreamSession } from './upstream/session.ts'
import type { PeerRoute, Upstreams } from './upstream/upstreams.ts'
import { upstreamHeaders } from './upstream-headers.ts'

export interface CallHandlerOptions {
  readonly identity: IdentityStore
  readonly spiffe: SpiffeTemplate
  readonly policy: { current(): PolicySnapshot }
  readonly revocations: RevocationJudge
  readonly live: LiveStreams
  readonly limits: Limits
  readonly refusals: RefusalBudgets
  readonly audit: AuditLog
  readonly metrics: Metrics
  readonly log: Log
  readonly names: () => RouteNames
  readonly upstreams: Upstreams
  readonly ownServices: OwnServices
  readonly reflection: ReflectionFilter
  readonly chain: ChainGate
  readonly guardLimits: GuardLimits
  readonly openCalls: OpenCalls
  readonly backlog: Backlog
  /** Why no call is served now; null when calls are. */
  readonly closedFor: () => MeshError | null
}

export type CallHandler = (
  stream: ServerHttp2Stream,
  /** Names and values in turn, without whitespace around values. */
  rawHeaders: readonly string[],
  inbound: Inbound,
) => void

const NO_BYTES = Object.freeze({ bytesUp: 0, bytesDown: 0 })

export function createCallHandler(options: CallHandlerOptions): CallHandler {
  const { identity, log, spiffe, policy, limits, guardLimits, audit, metrics, chain } = options
  const { revocations, live, refusals } = options
  const waitingRoom = createWaitingRoom(limits)

  return function handleCall(stream, rawHeaders, inbound) {
    const startedMs = performance.now()
    const generation = policy.current().generation
    const story = beginStory(inbound.peer, inbound.client)
    const stay = createStay()
    let deadline: NodeJS.Timeout | undefined
    let forwarding: Forwarding | null = null
    /** What changes from here on is seen by who looks at the epoch again. */
    const { epoch } = live
    const records = new CallRecords(story, audit, startedMs, generation)
    const places = new CallPlaces(live, records.opening)
    let ended = false

    metrics.active('delegation', 1)
    // what an error means, `close` tells; without a listener it would end the process
    stream.on('error', () => {})
    stream.once('close', onClose)

    function onClose(): void {
      end({ grpcStatus: GRPC_STATUS.CANCELLED, code: 'MESH_CALL_CANCELED', ...NO_BYTES })
    }

    function end(outcome: Outcome): void {
      if (ended) return
      ended = true
      clearTimeout(deadline)
      places.leave()
      if (story.own !== null) options.ownServices.end(story.own)
      stay.end()
      metrics.active('delegation', -1)
      metrics.duration('delegation', (performance.now() - startedMs) / 1000)
      const { reason } = records.end(outcome)
      metrics.decision('delegation', actionOf(story, outcome.code), reason ?? 'OK')
    }

    function refuse(cause: unknown): void {
      if (ended) return
      const error = asMeshError(cause)
      countRefusal(refusals, inbound, error)
      const requestId = story.call?.requestId ?? uuidV7()
      if (error.code === 'MESH_GATEWAY_INTERNAL')
        log.error({ request_id: requestId, err: error.cause }, 'a call failed inside the gateway')
      end({ grpcStatus: GRPC_STATUS[error.row.grpc], code: error.code, ...NO_BYTES })
      refuseRequest(stream, error, requestId)
    }

    function carry(
      ready: UpstreamSession,
      call: Call,
      mesh: readonly string[],
      elsewhere: ((failed: UpstreamSession) => Promise<UpstreamSession>) | null,
    ): void {
      if (ended) {
        ready.release()
        return
      }
      if (live.epoch !== epoch) judgeAgain(ready)
      const authority = story.route?.kind === 'peer' ? story.route.host : 'self'
      const open = (session: UpstreamSession) => {
        story.session = session
        if (forwarding !== null) enlist(forwarding, session)
        const remainingMs =
          call.timeoutMs === null ? null : call.timeoutMs - (performance.now() - startedMs)
        return session.open(upstreamHeaders(call, authority, mesh, remainingMs))
      }
      stream.off('close', onClose)
      forwarding = forward({
        down: stream,
        session: ready,
        open,
        elsewhere,
        requestId: call.requestId,
        meter: inbound.meter,
        backlog: options.backlog,
        onHead: (raw) => joinTree(raw, story, places, chain),
        onEnd: end,
      })
      enlist(forwarding, ready)
    }

    /** What has changed while this call waited. @throws MeshError as the checks before do */
    function judgeAgain(session: UpstreamSession): void {
      const error = live.judge(admittedOf(story, session, false))
      if (error === null) return
      session.release()
      throw error
    }

    function enlist(carried: Forwarding, session: UpstreamSession): void {
      if (!ended) places.enlist(carried, admittedOf(story, session, true))
    }

    try {
      if (!isGrpc(rawHeaders)) throw new MeshError('MESH_ROUTE_NOT_GRPC')
      checkRefusals(refusals, inbound)
      const certificate = judgeInbound(inbound, identity.current(), Date.now(), revocations)
      const closed = options.closedFor()
      if (closed !== null) throw closed
      stay.hold(options.openCalls.enter(certificate.identity))
      checkHeaderSize(rawHeaders, guardLimits)
      const call = readCall(rawHeaders)
      story.call = call
      const { route, callee } = inbound.flows.to(call.target, options.names(), spiffe)
      story.route = route
      story.callee = callee ?? identity.current().identity.id
      if (call.timeoutMs !== null)
        deadline = startDeadline(call.timeoutMs, () => {
          const error = new MeshError('MESH_CALL_DEADLINE')
          if (forwarding === null) refuse(error)
          else forwarding.cut(error)
        })
      if (route.kind === 'self') {
        if (call.chain.token === null) callSelf(certificate, call)
        else
          present(certificate, call.chain.token)
            .then(() => callSelf(certificate, call))
            .catch(refuse)
        return
      }
      if (call.chain.token !== null || startsTask(call.method))
        callInChain(certificate, call, route, story.callee).catch(refuse)
      else {
        const caller = enter(certificate, call, route, false)
        if (!(caller instanceof Promise)) callPeer(caller, call, route)
        else caller.then((admitted) => callPeer(admitted, call, route)).catch(refuse)
      }
    } catch (cause) {
      refuse(cause)
    }

    /** The chain that the caller acts in, by the token it presents. */
    async function present({ identity: caller }: PeerCertificate, token: string): Promise<void> {
      story.presented = await chain.present(token, caller.id)
      story.link = story.presented
    }

    function callSelf(certificate: PeerCertificate, call: Call): void {
      if (ended) return
      const session = options.ownServices.acquire(certificate, call.method)
      story.own = options.ownServices.begin(certificate)
      const mesh = options.ownServices.metadata(story.own, call)
      if (!(session instanceof Promise)) carry(session, call, mesh, null)
      else session.then((ready) => carry(ready, call, mesh, null)).catch(refuse)
    }

    /** Policy and limits. Answers who is calling. */
    function enter(
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
      certificate: PeerCertificate,
      call: Call,
      route: PeerRoute,
      callee: string,
    ): Promise<void> {
      if (call.chain.token !== null) await present(certificate, call.chain.token)
      if (ended) return
      const parent = story.link
      const caller = await enter(certificate, call, route, parent !== null)
      if (ended) return
      if (!startsTask(call.method)) {
        callPeer(caller, call, route)
        return
      }
      const question = () => ({
        ...{ caller: caller.id, callee, parent, delegationId: call.delegationId },
        ...{ narrow: call.chain, links: certificate.links },
        ...limitsOfChain(policy.current(), caller, parent, spiffe),
      })
      const mayGo = () => chain.judge(question())
      await takeTurn(caller, route.peer, policy.current(), waitingRoom, stay, mayGo)
      if (ended) return
      const link = await chain.extend(question())
      if (ended) return
      story.link = link.claims
      callPeer(caller, call, route, METADATA_DELEGATION, link.token)
    }

    /** At once when a session is at hand. */
    function callPeer(
      caller: AgentIdentity,
      call: Call,
      route: PeerRoute,
      ...more: string[]
    ): void {
      const mesh = meshMetadata(call, caller.id, caller.tenant)
      mesh.push(...more)
      const session = options.upstreams.acquire(caller.tenant, route, call.chain)
      if (!(session instanceof Promise)) carry(shownTo(session), call, mesh, elsewhere)
      else session.then((ready) => carry(shownTo(ready), call, mesh, elsewhere)).catch(refuse)

      async function elsewhere(failed: UpstreamSession): Promise<UpstreamSession> {
        return shownTo(await options.upstreams.acquire(caller.tenant, route, call.chain, failed))
      }

      /** Reflection shows a caller only what it may call. */
      function shownTo(ready: UpstreamSession): UpstreamSession {
        if (!isReflection(call.method)) return ready
        const pair = { caller, callee: route.peer, withinChain: story.link !== null }
        return options.reflection.through(ready, pair)
      }
    }
  }
}
