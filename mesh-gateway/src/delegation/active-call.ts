/**
 * One call while the gateway holds it: its record, its permits and its forwarding to the callee. It ends exactly once,
 * with one audit record.
 */
import type { ServerHttp2Stream } from 'node:http2'
import type { Log } from '@clawmesh/agent-sdk/mesh'
import { GRPC_STATUS, MeshError, uuidV7 } from '@clawmesh/proto'
import type { MaybePromise } from '../limits/limits.ts'
import type { DenseSet, Member } from '../live/dense-set.ts'
import type { Metrics } from '../telemetry/metrics-port.ts'
import type { Call } from './call.ts'
import type { Backlog } from './carry/backlog.ts'
import { forward } from './carry/forward.ts'
import type { Forwarding, Outcome } from './carry/forwarding.ts'
import { startDeadline } from './carry/grpc-timeout.ts'
import { asMeshError } from './carry/status-of.ts'
import { upstreamHeaders } from './carry/upstream-headers.ts'
import type { ChainGate } from './chain/chain-gate.ts'
import type { Client } from './client/authenticate.ts'
import { countRefusal, type RefusalBudgets } from './count-refusals.ts'
import { admittedOf, hasCursor } from './live/admitted.ts'
import { CallPlaces, joinTree } from './live/call-places.ts'
import type { LiveCalls } from './live/live-calls.ts'
import type { OtherProtocol } from './other-protocols/protocol-of.ts'
import type { OwnServices } from './own-services/own-services.ts'
import { createPermits, type Permits } from './permits.ts'
import {
  actionOf,
  type CallRecord,
  type RecordTargets,
  RecordWriter,
  startRecord,
} from './record.ts'
import { refuseCall, refuseOther } from './respond.ts'
import type { UpstreamSession } from './upstream/session.ts'
import { UnreachedPeer } from './upstream/unreached-peer.ts'

export interface ActiveCallOptions extends RecordTargets {
  readonly live: LiveCalls
  readonly refusals: RefusalBudgets
  readonly metrics: Metrics
  readonly log: Log
  readonly ownServices: Pick<OwnServices, 'end'>
  readonly chain: Pick<ChainGate, 'tree'>
  readonly backlog: Backlog
}

/** The calls that have not ended. */
export type ActiveCalls = DenseSet<ActiveCall>

/** How a call is carried. */
export interface Carriage {
  readonly call: Call
  /** The headers that the gateway sets for the callee, names and values in turn. */
  readonly mesh: readonly string[]
  /** As in ForwardOptions. */
  readonly elsewhere: ((failed: UpstreamSession) => Promise<UpstreamSession>) | null
}

const RESUME = Object.freeze({ resume: 'watch' })
const NO_FACTS = Object.freeze({})
const NO_BYTES = Object.freeze({ bytesUp: 0, bytesDown: 0 })

export class ActiveCall implements Member {
  /** Its place in the set of open calls. */
  index = -1
  readonly record: CallRecord
  readonly permits: Permits = createPermits()
  readonly client: Client
  /** Null for gRPC. */
  protocol: OtherProtocol | null = null
  readonly #stream: ServerHttp2Stream
  readonly #options: ActiveCallOptions
  readonly #calls: ActiveCalls
  readonly #startedMs = performance.now()
  readonly #records: RecordWriter
  readonly #places: CallPlaces
  /** Taken before the checks: if it has moved when the call is connected, the checks run again. */
  readonly #epoch: number
  #deadline: NodeJS.Timeout | undefined
  #forwarding: Forwarding | null = null
  #ended = false
  readonly #onClose = () =>
    this.#end({ grpcStatus: GRPC_STATUS.CANCELLED, code: 'MESH_CALL_CANCELED', ...NO_BYTES })

  /** @param policyGeneration the generation of policy that the record names */
  constructor(
    stream: ServerHttp2Stream,
    client: Client,
    policyGeneration: number,
    options: ActiveCallOptions,
    calls: ActiveCalls,
  ) {
    const { live, metrics } = options
    this.client = client
    this.#stream = stream
    this.#options = options
    this.record = startRecord(client.peer, client.address)
    this.#records = new RecordWriter(this.record, options, this.#startedMs, policyGeneration)
    this.#places = new CallPlaces(live, this.#records.opening)
    this.#epoch = live.epoch
    this.#calls = calls
    calls.add(this)
    metrics.active('delegation', 1)
    // `close` follows and carries the reason; an `error` event without a listener would end the process
    stream.on('error', () => {})
    stream.once('close', this.#onClose)
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Starts the deadline of the call, counted from its arrival. */
  startDeadline(timeoutMs: number): void {
    this.#deadline = startDeadline(timeoutMs, () => this.cut(new MeshError('MESH_CALL_DEADLINE')))
  }

  /** Ends the call with an error of the gateway's own, however far it has come. */
  cut(error: MeshError): void {
    if (this.#forwarding === null) this.refuse(error)
    else this.#forwarding.cut(error)
  }

  /** Ends the call because its connection ends. The caller of a resumable stream learns that Watch can resume it. */
  drain(message?: string): void {
    const method = this.record.call?.method
    const resumable = this.#forwarding !== null && method !== undefined && hasCursor(method)
    const facts = resumable ? RESUME : NO_FACTS
    this.cut(new MeshError('MESH_GATEWAY_DRAINING', message, { facts }))
  }

  /** Ends a call that has not been forwarded. @param cause an error without a code counts as a fault of the gateway */
  refuse(cause: unknown): void {
    if (this.#ended) return
    const { refusals, log } = this.#options
    const error = asMeshError(cause)
    if (error instanceof UnreachedPeer) this.record.tried = error.endpoint
    countRefusal(refusals, this.client, error)
    const requestId = this.record.call?.requestId ?? uuidV7()
    if (error.code === 'MESH_GATEWAY_INTERNAL')
      log.error({ request_id: requestId, err: error.cause }, 'a call failed inside the gateway')
    this.#end({ grpcStatus: GRPC_STATUS[error.row.grpc], code: error.code, ...NO_BYTES })
    const { protocol } = this
    if (protocol === null) refuseCall(this.#stream, error, requestId)
    else refuseOther(this.#stream, error, requestId, protocol)
  }

  /** As `carry`; waits for a session that is still to come. Refuses the call when there is none. */
  carryWhenReady(session: MaybePromise<UpstreamSession>, carriage: Carriage): void {
    if (!(session instanceof Promise)) this.carry(session, carriage)
    else
      session
        .then((ready) => this.carry(ready, carriage))
        .catch((cause: unknown) => this.refuse(cause))
  }

  /**
   * Forwards the call on a session that has a place reserved for it.
   * @throws MeshError when a change during the wait forbids the call
   */
  carry(ready: UpstreamSession, { call, mesh, elsewhere }: Carriage): void {
    if (this.#ended) {
      ready.release()
      return
    }
    const { record, client } = this
    const { live, chain, backlog } = this.#options
    if (live.epoch !== this.#epoch) this.#judgeAgain(ready)
    record.letThrough = true
    const authority = record.route?.kind === 'peer' ? record.route.host : 'self'
    const open = (session: UpstreamSession) => {
      record.session = session
      if (this.#forwarding !== null) this.#enlist(this.#forwarding, session)
      const { timeoutMs } = call
      const remainingMs =
        timeoutMs === null ? null : timeoutMs - (performance.now() - this.#startedMs)
      return session.open(upstreamHeaders(call, authority, mesh, remainingMs))
    }
    this.#stream.off('close', this.#onClose)
    this.#forwarding = forward({
      down: this.#stream,
      session: ready,
      open,
      elsewhere,
      requestId: call.requestId,
      meter: client.meter,
      backlog,
      onHead: (raw) => joinTree(raw, record, this.#places, chain),
      rootId: () => record.link?.txn ?? null,
      onEnd: (outcome) => this.#end(outcome),
    })
    this.#enlist(this.#forwarding, ready)
  }

  /** Repeats the checks when something has changed while the call waited. @throws MeshError as the first checks do */
  #judgeAgain(session: UpstreamSession): void {
    const error = this.#options.live.judge(admittedOf(this.record, session, false))
    if (error === null) return
    session.release()
    throw error
  }

  #enlist(carried: Forwarding, session: UpstreamSession): void {
    if (!this.#ended) this.#places.enlist(carried, admittedOf(this.record, session, true))
  }

  #end(outcome: Outcome): void {
    if (this.#ended) return
    this.#ended = true
    this.#calls.remove(this)
    const { record } = this
    const { ownServices, metrics } = this.#options
    clearTimeout(this.#deadline)
    this.#places.leave()
    if (record.own !== null) ownServices.end(record.own)
    this.permits.end()
    metrics.active('delegation', -1)
    const traceId = record.call?.trace.traceId ?? null
    metrics.duration('delegation', (performance.now() - this.#startedMs) / 1000, traceId)
    const { reason } = this.#records.end(outcome)
    metrics.decision('delegation', actionOf(record, outcome.code), reason ?? 'OK', traceId)
  }
}
