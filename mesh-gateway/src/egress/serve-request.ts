/**
 * Serves absolute form, `GET http://host/path`, and relay form, `GET /path` with the Host of a destination: one request
 * and its answer, or a WebSocket. The plan decides whether the gateway speaks TLS to the destination. Redirects are
 * forwarded like any other answer.
 */
import type { ErrorCode } from '@clawmesh/proto'
import type { Metrics } from '../telemetry/metrics-port.ts'
import { type Admission, type AdmissionContext, admit } from './admit.ts'
import { formatLastHop } from './answer-last-hop.ts'
import { isOwnAuthorization, type Principal } from './authenticate.ts'
import type { BufferedSocket } from './carry/buffered-socket.ts'
import { type ExchangeOptions, exchange, isRepeatable } from './carry/exchange.ts'
import type { ExchangeEnd } from './carry/exchange-end.ts'
import { splice } from './carry/splice.ts'
import { type Bounds, bodyLimit, isTunnel } from './enter-limits.ts'
import type { RequestHead } from './http1/request-head.ts'
import { writeRequestHead } from './http1/write-head.ts'
import { type KeepingContext, keptAfter } from './kept-after.ts'
import type { LiveTunnel } from './live/live-tunnel.ts'
import type { PolicyView } from './policy-view.ts'
import {
  OpenRequestRecord,
  type Outcome,
  type RecordContext,
  type RequestRecord,
  writeRecord,
} from './record.ts'
import { Refused, refuse } from './refused.ts'
import type { Target } from './request.ts'
import { formatRefusal } from './respond.ts'
import { follow, gateOf, type LiveContext, register } from './serve-connect.ts'
import type { EgressTimeouts } from './timeouts.ts'
import type { DialPlan, NotConnected } from './upstream/dial.ts'
import type { Upstream } from './upstream/idle-connections.ts'
import type { UpstreamPool } from './upstream/upstream-pool.ts'

export interface RequestContext extends AdmissionContext, RecordContext, LiveContext {
  readonly tunnels: AdmissionContext['tunnels'] & LiveContext['tunnels']
  readonly metrics: Metrics
  readonly timeouts: Pick<EgressTimeouts, 'idleMs' | 'answerMs'> & KeepingContext['timeouts']
  readonly pool: Pick<UpstreamPool, 'take' | 'give' | 'drop'>
  policy(): PolicyView
  draining(): boolean
}

interface Served extends Outcome {
  readonly keepAlive: boolean
}

/** True when the connection can carry another request. */
export async function serveRequest(
  head: RequestHead,
  asked: Target,
  client: BufferedSocket,
  record: RequestRecord,
  context: RequestContext,
): Promise<boolean> {
  const admission = await admit(head, asked, record.client, context)
  const { target } = admission
  try {
    const opening = new OpenRequestRecord(record, target, admission, context)
    const served = await serve(head, client, record, admission, opening, context)
    writeRecord(record, target, admission, served, context, opening)
    return served.keepAlive
  } finally {
    admission.release()
  }
}

async function serve(
  head: RequestHead,
  client: BufferedSocket,
  record: RequestRecord,
  admission: Admission,
  opening: OpenRequestRecord,
  context: RequestContext,
): Promise<Served> {
  const { principal, target, decision, admitted, result: plan, generation, counted } = admission
  const nothing = { ip: null, bytesUp: 0, bytesDown: 0 }
  if (plan instanceof Refused || principal === null || decision === null || admitted === null) {
    const refused = plan instanceof Refused ? plan : refuse('gateway', 'MESH_GATEWAY_INTERNAL')
    return { ...nothing, ...refuseRequest(head, client, record, refused, context) }
  }
  if (plan === 'answer-here') return { ...nothing, ...answerHere(head, client, record, context) }
  const requestText = writeRequestHead(head, target, {
    requestId: record.requestId,
    traceparent: record.traceparent,
    dropTracestate: record.parentSpanId === null,
    path: decision.path,
    defaultPort: plan.tls ? 443 : 80,
    dropAuthorization: head.fields.some(
      ({ name, value }) => name === 'authorization' && isOwnAuthorization(value, context.issuer),
    ),
  })
  const tunnel = isTunnel(target, head)
  const { agent } = principal
  const facts = { agent, admitted, tunnel, generation, bounds: decision, counted, opening }
  const attempt = (upstream: Upstream) =>
    converse(
      {
        client,
        upstream,
        head,
        requestText,
        requestId: record.requestId,
        maxBodyBytes: bodyLimit(decision)?.maxBytes ?? null,
        silence: context.timeouts,
        keptMs: keptAfter(head, record, context),
      },
      { ...facts, ip: upstream.ip },
      context,
    )
  const repeatable = isRepeatable(head)
  for (const fresh of [false, true]) {
    const upstream = await takeUpstream(principal, plan, client, { fresh, repeatable }, context)
    if ('refused' in upstream) {
      const { refused, ip } = upstream
      return { ...nothing, ip, ...refuseRequest(head, client, record, refused, context) }
    }
    // after a change during the lookup and the dial; nothing of the request has been sent yet
    const changed = context.judgeAgain({ ...facts, ip: upstream.ip })
    if (changed !== null) {
      context.pool.drop(upstream)
      const refused = refuse(gateOf(changed), changed)
      const answered = refuseRequest(head, client, record, refused, context)
      return { ...nothing, ip: upstream.ip, ...answered }
    }
    opening.ip = upstream.ip
    const end = await attempt(upstream)
    if (end.stale) {
      context.pool.drop(upstream)
      continue
    }
    if (end.upgraded)
      return await speakWebSocket(upstream, client, { ...facts, ip: upstream.ip }, context)
    if (end.reusable) context.pool.give(upstream, end.keepAliveMs)
    else context.pool.drop(upstream)
    return settle(inWords(end, decision), upstream, head, client, record, context)
  }
  const lost = refuse('upstream', 'MESH_EGRESS_LOST')
  return { ...nothing, ...refuseRequest(head, client, record, lost, context) }
}

/** Runs an exchange that revocation, expiry and a policy change can end, like a tunnel. */
async function converse(
  options: ExchangeOptions,
  facts: Omit<LiveTunnel, 'end'>,
  context: Omit<LiveContext, 'metrics'>,
): Promise<ExchangeEnd> {
  const running = exchange(options)
  const end = (code: ErrorCode) => running.end(gateOf(code), code)
  const place = register({ ...facts, end }, context)
  try {
    return await running.done
  } finally {
    context.tunnels.remove(place)
  }
}

/** Adds to a limit's refusal in mid-request whose limit it is, and when to retry. */
function inWords(end: ExchangeEnd, bounds: Bounds): ExchangeEnd {
  const code = end.refused?.error.code
  if (code === 'MESH_LIMIT_SIZE') {
    const message = bodyLimit(bounds)?.message
    return { ...end, refused: refuse('limits', code, message === undefined ? {} : { message }) }
  }
  if (code !== 'MESH_LIMIT_CONCURRENCY') return end
  const message = 'policy was changed, and allows fewer at once than were open'
  return { ...end, refused: refuse('limits', code, { message, retryAfterMs: 1_000 }) }
}

function takeUpstream(
  principal: Principal,
  plan: DialPlan,
  client: BufferedSocket,
  { fresh, repeatable }: { readonly fresh: boolean; readonly repeatable: boolean },
  { pool }: Pick<RequestContext, 'pool'>,
): Promise<Upstream | NotConnected> {
  const { tenant, agent } = principal.agent
  return pool.take(`${tenant}/${agent}`, plan, client, { fresh, repeatable })
}

function settle(
  end: ExchangeEnd,
  upstream: Upstream,
  head: RequestHead,
  client: BufferedSocket,
  record: RequestRecord,
  context: KeepingContext,
): Served {
  const { bytesUp, bytesDown, refused } = end
  const facts = { ip: upstream.ip, bytesUp, bytesDown, refused }
  if (refused === null) {
    if (!end.keepAlive) client.closeGently()
    return { ...facts, status: end.status, keepAlive: end.keepAlive }
  }
  if (end.status === 0) {
    const answered = refuseRequest(head, client, record, refused, context, false)
    return { ...facts, ...answered, refused: isOwnFault(refused) ? refused : cut(refused) }
  }
  // the answer has begun: only a reset shows the client that it is incomplete
  client.reset()
  return { ...facts, refused: cut(refused), status: end.status, keepAlive: false }
}

/** True when the fault is in the request itself, found while it arrived. */
function isOwnFault({ gate, error }: Refused): boolean {
  return gate === 'syntax' || error.code === 'MESH_LIMIT_SIZE'
}

/** For the record: it was admitted, and cut afterwards. */
function cut({ error, rule }: Refused): Refused {
  return new Refused('upstream', error, rule)
}

async function speakWebSocket(
  upstream: Upstream,
  client: BufferedSocket,
  facts: Omit<LiveTunnel, 'end'>,
  context: LiveContext & Pick<RequestContext, 'timeouts'>,
): Promise<Served> {
  const tunnel = splice({
    ...{ client, upstream: upstream.socket, silence: context.timeouts, inspect: null },
  })
  const end = await follow(tunnel, context, facts)
  return {
    status: 101,
    ip: upstream.ip,
    bytesUp: end.bytesUp,
    bytesDown: end.bytesDown,
    refused: end.code === null ? null : refuse('upstream', end.code),
    keepAlive: false,
  }
}

function answerHere(
  head: RequestHead,
  client: BufferedSocket,
  record: RequestRecord,
  context: KeepingContext,
): { status: number; refused: null; keepAlive: boolean } {
  if (client.closed) return { status: 0, refused: null, keepAlive: false }
  const kept = head.body === 0 ? keptAfter(head, record, context) : null
  client.writeText(formatLastHop(head, record.requestId, kept))
  if (kept === null) client.closeGently()
  return { status: 200, refused: null, keepAlive: kept !== null }
}

/** Answers, and closes the connection unless the whole request has been read. */
function refuseRequest(
  head: RequestHead,
  client: BufferedSocket,
  record: RequestRecord,
  refused: Refused,
  context: KeepingContext,
  wholeRequestRead: boolean = head.body === 0,
): { status: number; refused: Refused; keepAlive: boolean } {
  if (client.closed) return { status: 0, refused, keepAlive: false }
  const kept = wholeRequestRead ? keptAfter(head, record, context) : null
  client.writeText(
    formatRefusal(refused, { requestId: record.requestId, method: head.method, keptMs: kept }),
  )
  if (kept === null) client.closeGently()
  return { status: refused.error.row.http, refused, keepAlive: kept !== null }
}
