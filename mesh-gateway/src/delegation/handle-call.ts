/**
 * One call from its first header to its audit record, in the order of checks of the contract: certificate,
 * then what is asked for, then policy and limits, then the peer. Every call ends in one record.
 */
import type { ServerHttp2Stream } from 'node:http2'
import type { IdentityStore, PeerCertificate } from '@clawmesh/agent-sdk'
import { ERRORS, GRPC_STATUS, MeshError, type SpiffeTemplate, uuidV7 } from '@clawmesh/proto'
import type { AuditLog } from '../audit/audit-record.ts'
import type { Limits } from '../limits/limits.ts'
import type { DelegationDecision } from '../policy/decision.ts'
import type { PolicySnapshot } from '../policy/snapshot.ts'
import type { Metrics } from '../telemetry/metrics-port.ts'
import { admit, judge } from './admit.ts'
import { type Call, isGrpc, meshMetadata, readCall } from './call.ts'
import { type Forwarding, forward, type Outcome } from './forward.ts'
import { formatGrpcTimeout } from './grpc-timeout.ts'
import { type Inbound, judgeInbound } from './inbound.ts'
import type { OwnServices } from './own-services/own-services.ts'
import { refuseCall, refusePlainly } from './refuse.ts'
import { type Route, type RouteNames, routeOf } from './route.ts'
import type { UpstreamSession } from './upstream/session.ts'
import type { Upstreams } from './upstream/upstreams.ts'

export interface CallHandlerOptions {
  readonly identity: IdentityStore
  readonly spiffe: SpiffeTemplate
  readonly policy: { current(): PolicySnapshot }
  readonly limits: Limits
  readonly audit: AuditLog
  readonly metrics: Metrics
  readonly names: () => RouteNames
  readonly upstreams: Upstreams
  readonly ownServices: OwnServices
  readonly draining: () => boolean
}

export type CallHandler = (
  stream: ServerHttp2Stream,
  headers: {
    readonly ':method'?: string | undefined
    readonly 'content-type'?: string | undefined
  },
  rawHeaders: readonly string[],
  inbound: Inbound,
) => void

/** What is known of a call so far; the audit record is made of it. */
interface Story {
  call: Call | null
  certificate: PeerCertificate | null
  route: Route | null
  decision: DelegationDecision | null
  session: UpstreamSession | null
}

/** Deadlines share timers in steps of this; callers keep their own clock as well. */
const DEADLINE_STEP_MS = 50

export function createCallHandler(options: CallHandlerOptions): CallHandler {
  const { identity, spiffe, policy, limits, audit, metrics } = options

  return function handleCall(stream, headers, rawHeaders, inbound) {
    const startedMs = performance.now()
    const generation = policy.current().generation
    const story: Story = {
      call: null,
      certificate: inbound.peer,
      route: null,
      decision: null,
      session: null,
    }
    let leave: () => void = () => {}
    let deadline: NodeJS.Timeout | undefined
    let forwarding: Forwarding | null = null
    let ended = false

    metrics.active('delegation', 1)
    // what an error means, `close` tells; without a listener it would end the process
    stream.on('error', () => {})
    stream.once('close', onClose)

    function onClose(): void {
      end({
        grpcStatus: GRPC_STATUS.CANCELLED,
        code: 'MESH_CALL_CANCELED',
        bytesUp: 0,
        bytesDown: 0,
      })
    }

    function end(outcome: Outcome): void {
      if (ended) return
      ended = true
      clearTimeout(deadline)
      leave()
      const durationMs = performance.now() - startedMs
      metrics.active('delegation', -1)
      metrics.duration('delegation', durationMs / 1000)
      record(story, outcome, durationMs, generation)
    }

    function refuse(cause: unknown): void {
      if (ended) return
      const error =
        cause instanceof MeshError
          ? cause
          : new MeshError('MESH_GATEWAY_INTERNAL', undefined, { cause })
      end({ grpcStatus: GRPC_STATUS[error.row.grpc], code: error.code, bytesUp: 0, bytesDown: 0 })
      if (error.code === 'MESH_ROUTE_NOT_GRPC') refusePlainly(stream, error)
      else refuseCall(stream, error, story.call?.requestId ?? uuidV7())
    }

    function carry(session: UpstreamSession, call: Call, mesh: readonly string[]): void {
      if (ended) {
        session.release()
        return
      }
      story.session = session
      const remainingMs =
        call.timeoutMs === null ? null : call.timeoutMs - (performance.now() - startedMs)
      const authority = story.route?.kind === 'peer' ? story.route.host : 'self'
      const up = session.open(upstreamHeaders(call, authority, mesh, remainingMs))
      stream.off('close', onClose)
      forwarding = forward({ down: stream, up, requestId: call.requestId, onEnd: end })
    }

    try {
      if (!isGrpc(headers[':method'], headers['content-type']))
        throw new MeshError('MESH_ROUTE_NOT_GRPC')
      const certificate = judgeInbound(inbound, identity.current(), Date.now())
      if (options.draining()) throw new MeshError('MESH_GATEWAY_DRAINING')
      const call = readCall(rawHeaders)
      story.call = call
      const route = routeOf(call.target, options.names())
      story.route = route
      if (call.timeoutMs !== null)
        deadline = setTimeout(
          () => {
            const error = new MeshError('MESH_CALL_DEADLINE')
            if (forwarding === null) refuse(error)
            else forwarding.cut(error)
          },
          Math.ceil(call.timeoutMs / DEADLINE_STEP_MS) * DEADLINE_STEP_MS,
        )
      if (route.kind === 'self') {
        carry(options.ownServices.acquire(), call, options.ownServices.metadata(certificate, call))
        return
      }
      const judged = judge(certificate, route, call, policy.current())
      story.decision = judged.decision
      leave = admit(judged.caller, judged.decision, limits)
      const mesh = meshMetadata(call, judged.caller.id, judged.caller.tenant)
      const session = options.upstreams.acquire(judged.caller.tenant, route)
      if (!(session instanceof Promise)) carry(session, call, mesh)
      else session.then((ready) => carry(ready, call, mesh)).catch(refuse)
    } catch (cause) {
      refuse(cause)
    }
  }

  function record(story: Story, outcome: Outcome, durationMs: number, generation: number): void {
    const { call, certificate, route, decision, session } = story
    const caller = certificate?.identity ?? null
    const refusedByUs = outcome.code !== null && !REACHED.has(outcome.code)
    const action = refusedByUs ? 'deny' : (decision?.action ?? 'allow')
    const reason = outcome.code ?? decision?.code ?? null
    metrics.decision('delegation', action, reason ?? 'OK')
    audit.write({
      event: 'delegation',
      request_id: call?.requestId ?? uuidV7(),
      trace_id: call?.trace.traceId ?? null,
      tenant: caller?.kind === 'agent' ? caller.tenant : null,
      agent_id: caller?.kind === 'agent' ? caller.agent : null,
      caller: caller?.id ?? null,
      callee: calleeOf(route),
      destination_host: route?.kind === 'peer' ? route.host : null,
      destination_port: session?.port ?? null,
      destination_ip: session?.ip ?? null,
      grpc_method: call?.method ?? null,
      grpc_status: outcome.grpcStatus,
      action_allowed: action !== 'deny',
      mode: decision?.mode ?? 'enforce',
      reason,
      rule: decision?.rule ?? null,
      policy_generation: generation,
      duration_ms: Math.round(durationMs * 1000) / 1000,
      bytes_up: outcome.bytesUp,
      bytes_down: outcome.bytesDown,
    })
  }

  function calleeOf(route: Route | null): string | null {
    if (route === null) return null
    if (route.kind === 'self') return identity.current().identity.id
    return spiffe.agent(route.peer.tenant, route.peer.agent).id
  }
}

/** How an admitted call may end by itself: no refusal, though it has a code. */
const REACHED: ReadonlySet<string> = new Set(
  Object.keys(ERRORS).filter(
    (code) => code.startsWith('MESH_PEER_') || code.startsWith('MESH_CALL_'),
  ),
)

function upstreamHeaders(
  call: Call,
  authority: string,
  mesh: readonly string[],
  remainingMs: number | null,
): string[] {
  const headers = [
    ':method',
    'POST',
    ':scheme',
    'https',
    ':path',
    call.path,
    ':authority',
    authority,
  ]
  headers.push('te', 'trailers', ...mesh)
  if (remainingMs !== null) headers.push('grpc-timeout', formatGrpcTimeout(remainingMs))
  for (const item of call.metadata) headers.push(item)
  return headers
}
