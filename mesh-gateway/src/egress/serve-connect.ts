/** Serves CONNECT: opens a tunnel to the judged address, and keeps it while it is allowed. */
import type { ErrorCode } from '@clawmesh/proto'
import type { Metrics } from '../telemetry/metrics-port.ts'
import { type Admission, type AdmissionContext, admit } from './admit.ts'
import type { BufferedSocket } from './carry/buffered-socket.ts'
import { ClearText } from './carry/clear-text.ts'
import { judgeFirstBytes, mustBeTls } from './carry/judge-first-bytes.ts'
import { type Splice, type SpliceEnd, splice } from './carry/splice.ts'
import type { RequestHead } from './http1/request-head.ts'
import type { LivePlace, LiveTunnel } from './live/live-tunnel.ts'
import type { Tunnels } from './live/live-tunnels.ts'
import type { PolicyView } from './policy-view.ts'
import {
  OpenRequestRecord,
  type Outcome,
  type RecordContext,
  type RequestRecord,
  writeRecord,
} from './record.ts'
import { type Gate, Refused, refuse } from './refused.ts'
import type { Target } from './request.ts'
import { formatRefusal } from './respond.ts'
import type { EgressTimeouts } from './timeouts.ts'
import type { UpstreamPool } from './upstream/upstream-pool.ts'

/** The codes with which judge-first-bytes.ts and clear-text.ts refuse, and their gates. */
const OF_WHAT_IS_INSIDE: ReadonlyMap<ErrorCode, Gate> = Object.freeze(
  new Map<ErrorCode, Gate>([
    ['MESH_EGRESS_SNI_MISMATCH', 'tls'],
    ['MESH_EGRESS_NOT_TLS', 'tls'],
    ['MESH_EGRESS_ECH', 'tls'],
    ['MESH_EGRESS_HOST_MISMATCH', 'syntax'],
    ['MESH_EGRESS_CLEARTEXT', 'policy'],
    ['MESH_EGRESS_MALFORMED', 'syntax'],
    ['MESH_EGRESS_SLOW', 'client'],
  ]),
)

/** What keeps a tunnel, or an answer, while it is allowed. */
export interface LiveContext {
  readonly tunnels: Pick<Tunnels, 'add' | 'remove' | 'end'>
  readonly metrics: Pick<Metrics, 'active' | 'cut'>
  /** Why an open or admitted tunnel may not go on now; null when it may. */
  judgeAgain(tunnel: Omit<LiveTunnel, 'end'>): ErrorCode | null
}

export interface ConnectContext extends AdmissionContext, RecordContext, LiveContext {
  readonly tunnels: AdmissionContext['tunnels'] & LiveContext['tunnels']
  readonly metrics: Metrics
  readonly timeouts: Pick<EgressTimeouts, 'helloMs' | 'idleMs' | 'answerMs'>
  readonly pool: Pick<UpstreamPool, 'open'>
  policy(): PolicyView
}

/** Resolves when the tunnel has ended. The connection carries no further request. */
export async function serveConnect(
  head: RequestHead,
  target: Target,
  client: BufferedSocket,
  record: RequestRecord,
  context: ConnectContext,
): Promise<void> {
  const admission = await admit(head, target, record.client, context)
  try {
    const opening = new OpenRequestRecord(record, target, admission, context)
    const outcome = await openTunnel(target, client, record, admission, opening, context)
    writeRecord(record, target, admission, outcome, context, opening)
  } finally {
    admission.release()
  }
}

async function openTunnel(
  target: Target,
  client: BufferedSocket,
  record: RequestRecord,
  { principal, decision, admitted, result: plan, generation, counted }: Admission,
  opening: OpenRequestRecord,
  context: ConnectContext,
): Promise<Outcome> {
  const nothing = { ip: null, bytesUp: 0, bytesDown: 0 }
  const complete = principal !== null && decision !== null && admitted !== null
  if (plan instanceof Refused || plan === 'answer-here' || !complete) {
    const refused = plan instanceof Refused ? plan : refuse('gateway', 'MESH_GATEWAY_INTERNAL')
    return { ...nothing, refused, status: answerRefusal(client, record, refused) }
  }
  const { tenant, agent } = principal.agent
  const dialled = await context.pool.open(`${tenant}/${agent}`, plan, client)
  if ('refused' in dialled) {
    const { ip, refused } = dialled
    return { ...nothing, ip, refused, status: answerRefusal(client, record, refused) }
  }
  const { ip } = dialled
  if (client.closed) {
    dialled.socket.destroy()
    return { ...nothing, ip, status: 0, refused: refuse('client', 'MESH_CALL_CANCELED') }
  }
  opening.ip = ip
  const facts = {
    ...{ agent: principal.agent, admitted, ip, tunnel: true },
    ...{ generation, bounds: decision, counted, opening },
  }
  const changed = context.judgeAgain(facts)
  if (changed !== null) {
    dialled.socket.destroy()
    const refused = refuse(gateOf(changed), changed)
    return { ...nothing, ip, refused, status: answerRefusal(client, record, refused) }
  }
  client.writeText(
    `HTTP/1.1 200 Connection established\r\nx-request-id: ${record.requestId}\r\n\r\n`,
  )
  const { timeouts } = context
  const rules = context.policy().tunnelTls
  const tunnel = splice({
    client,
    upstream: dialled.socket,
    silence: timeouts,
    inspect: {
      judge: (bytes) => judgeFirstBytes(bytes, target, rules, decision.withoutServerName),
      clearText: () => new ClearText(target, rules.clearText === 'other'),
      explain: (code) =>
        formatRefusal(refuse(gateInside(code), code), {
          ...{ requestId: record.requestId, method: '-', keptMs: null },
        }),
      first: mustBeTls(target, rules),
      timeoutMs: timeouts.helloMs,
    },
  })
  const end = await follow(tunnel, context, facts)
  return {
    status: 200,
    ip,
    bytesUp: end.bytesUp,
    bytesDown: end.bytesDown,
    refused: end.code === null ? null : refuse(gateInside(end.code), end.code),
  }
}

function gateInside(code: ErrorCode): Gate {
  return OF_WHAT_IS_INSIDE.get(code) ?? 'upstream'
}

/** Keeps a tunnel in the registry and in the metrics while it is open. */
export async function follow(
  tunnel: Splice,
  context: LiveContext,
  facts: Omit<LiveTunnel, 'end'>,
): Promise<SpliceEnd> {
  context.metrics.active('egress', 1)
  const place = register({ ...facts, end: (code) => tunnel.end(code) }, context)
  try {
    const end = await tunnel.done
    // the registry counts all other reasons
    if (end.code === 'MESH_EGRESS_IDLE') context.metrics.cut('egress', end.code)
    return end
  } finally {
    context.tunnels.remove(place)
    context.metrics.active('egress', -1)
  }
}

/** Adds it to the registry while it is open; a change during the dial ends it at once. */
export function register(tunnel: LiveTunnel, context: Omit<LiveContext, 'metrics'>): LivePlace {
  const place = context.tunnels.add(tunnel)
  const code = context.judgeAgain(tunnel)
  if (code !== null) context.tunnels.end(place, code)
  return place
}

/** The gate to which an end of an admitted tunnel counts. */
export function gateOf(code: ErrorCode): Gate {
  if (code.startsWith('MESH_TOKEN') || code === 'MESH_REVOCATION_STALE') return 'credential'
  if (code.startsWith('MESH_GATEWAY')) return 'gateway'
  if (code.startsWith('MESH_LIMIT')) return 'limits'
  return code === 'MESH_EGRESS_ADDRESS_REFUSED' ? 'address' : 'policy'
}

/** Returns the status sent; 0 when the client had left. */
function answerRefusal(client: BufferedSocket, record: RequestRecord, refused: Refused): number {
  if (client.closed) return 0
  client.writeText(
    formatRefusal(refused, { requestId: record.requestId, method: 'CONNECT', keptMs: null }),
  )
  client.closeGently()
  return refused.error.row.http
}
