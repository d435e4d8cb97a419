/**
 * Forwards one call between caller and callee: frames, trailers, back-pressure, cancellation, deadline. Never looks
 * into a payload. Ends exactly once, with an outcome.
 */
import {
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type ServerHttp2Stream,
} from 'node:http2'
import { type ErrorCode, GRPC_STATUS, MeshError } from '@clawmesh/proto'
import { AROUND_DATA_BYTES, type Meter } from '../client/meter.ts'
import { errorTrailers } from '../error-trailers.ts'
import { fieldOnce, trimmedFields } from '../field-values.ts'
import { refuseCall } from '../respond.ts'
import type { UpstreamSession } from '../upstream/session.ts'
import type { Backlog } from './backlog.ts'
import { MAX_INFORMATIONAL, passHead, passTrailers } from './pass-response.ts'
import { answerHeaders, endTrailers, faultOf, readStatus, withoutStatus } from './peer-response.ts'
import { pump } from './pump.ts'
import { asMeshError, isLost, statusOfReset } from './status-of.ts'
import { stopReading } from './stop-reading.ts'

export interface Outcome {
  readonly grpcStatus: number
  /** The reason when the gateway ended the call; null when the callee's answer went through. */
  readonly code: ErrorCode | null
  readonly bytesUp: number
  readonly bytesDown: number
}

export interface ForwardOptions {
  readonly down: ServerHttp2Stream
  /** Has a place reserved for the call. */
  readonly session: UpstreamSession
  /** Opens the call there. @throws MeshError as `session.open` does */
  readonly open: (session: UpstreamSession) => ClientHttp2Stream
  /**
   * Finds another session, with a place reserved, when the peer certainly did not process the call (a retry); null when
   * there is none.
   */
  readonly elsewhere: ((failed: UpstreamSession) => Promise<UpstreamSession>) | null
  readonly requestId: string
  /** Called with the head of the answer before it is forwarded. Returns the error that forbids it, or null. */
  readonly onHead: (raw: readonly string[]) => MeshError | null
  /** The byte counter of the caller's connection. */
  readonly meter: Meter
  readonly backlog: Backlog
  readonly onEnd: (outcome: Outcome) => void
}

export interface Forwarding {
  /** Ends the call with an error of the gateway's own. */
  cut(error: MeshError): void
  /** Resets the stream at once, for a caller that does not read to the end. */
  reset(): void
}

const { NGHTTP2_CANCEL, NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_NO_ERROR } = constants
const HEADERS_END_STREAM = 0x1
/** A larger request is not buffered for a retry. */
const KEPT_BYTES = 16_384

/** Forwards one call. Uses `on` for events that come once: `once` costs a wrapper and a removal for every call. */
export function forward(options: ForwardOptions): Forwarding {
  const { down, requestId, meter, backlog } = options
  let session = options.session
  let elsewhere = options.elsewhere
  let up: ClientHttp2Stream | null = null
  /**
   * The bytes written to the callee before it answers, kept for a retry; null when the call can no longer be retried.
   */
  let sent: Buffer[] | null = elsewhere === null ? null : []
  let sentBytes = 0
  let halfClosed = false
  let informational = 0
  let bytesUp = 0
  let bytesDown = 0
  let ended = false
  let trailers: Record<string, string | string[]> | null = null

  function end(grpcStatus: number, code: ErrorCode | null): void {
    if (ended) return
    ended = true
    options.onEnd({ grpcStatus, code, bytesUp, bytesDown })
  }

  /** Sends an error to the caller, in the part of the answer that is still to come. */
  function cut(error: MeshError): void {
    if (ended) return
    end(GRPC_STATUS[error.row.grpc], error.code)
    if (up !== null && !up.closed) up.close(NGHTTP2_CANCEL)
    if (!down.headersSent) {
      refuseCall(down, error, requestId)
      return
    }
    trailers = errorTrailers(error, requestId)
    finishDown()
  }

  function finishDown(): void {
    if (down.destroyed) return
    if (!down.writableEnded) down.end()
    stopReading(down)
  }

  /** Opens the callee's stream. When that fails, retries elsewhere or ends the call. */
  function open(): ClientHttp2Stream | null {
    try {
      return options.open(session)
    } catch (cause) {
      if (!isLost(cause) || !tryElsewhere()) fail(cause)
      return null
    }
  }

  const fail = (cause: unknown) => cut(asMeshError(cause))

  /** Returns false when no retry is possible and the call must end. */
  function tryElsewhere(): boolean {
    if (elsewhere === null || sent === null) return false
    const another = elsewhere
    elsewhere = null
    down.pause()
    another(session).then(again).catch(fail)
    return true
  }

  /** Sends the same call again, from its beginning. */
  function again(found: UpstreamSession): void {
    if (ended) {
      found.release()
      return
    }
    session = found
    up = open()
    if (up === null) return
    upwards.divert(up)
    listen(up)
    for (const chunk of sent ?? []) up.write(chunk)
    sent = null
    if (halfClosed) up.end()
    down.resume()
  }

  function cutSlow(): void {
    end(GRPC_STATUS.RESOURCE_EXHAUSTED, 'MESH_LIMIT_SIZE')
    // a caller that does not read gets no trailers: reset both streams to free their buffers
    if (up !== null && !up.closed) up.close(NGHTTP2_CANCEL)
    up?.destroy()
    if (!down.destroyed) down.close(NGHTTP2_ENHANCE_YOUR_CALM)
    down.destroy()
  }

  function keep(chunk: Buffer): void {
    if (sent === null) return
    sentBytes += chunk.length
    if (sentBytes > KEPT_BYTES) sent = null
    else sent.push(chunk)
  }

  // -- caller to callee
  up = open()
  if (ended) return { cut, reset }
  const upwards = pump({
    from: down,
    to: up,
    count: (bytes) => {
      bytesUp += bytes
      meter.bytes += bytes + AROUND_DATA_BYTES
    },
    onWrite: keep,
    onStall: (to) => backlog.stalled({ from: down, to, connection: meter, cut: cutSlow }),
    end: (last) => {
      halfClosed = true
      if (last !== null) keep(last)
      if (up === null || !up.writable) return
      if (last === null) up.end()
      else up.end(last)
    },
  })
  down.on('close', () => {
    // once the answer has begun, wait one turn: its trailers may have arrived in this one, and then nothing was
    // cancelled
    if (!ended && down.headersSent) setImmediate(abandon)
    else abandon()
  })
  if (up !== null) listen(up)

  function abandon(): void {
    if (up !== null && !up.closed) up.close(NGHTTP2_CANCEL)
    end(GRPC_STATUS.CANCELLED, 'MESH_CALL_CANCELED')
  }

  // -- callee to caller
  function listen(from: ClientHttp2Stream): void {
    from.on('response', onResponse)
    from.on('headers', onInformational)
    from.on('trailers', (_headers, _flags, raw?: readonly string[]) => {
      // after a cut the gateway has already ended the answer
      if (ended) return
      const kept = endTrailers(trimmedFields(raw ?? []), session, down)
      if (kept instanceof MeshError) cut(kept)
      else trailers = kept
    })
    // `close` follows and carries the reason; an `error` event without a listener would end the process
    from.on('error', () => {})
    from.on('close', () => {
      // checked first: an error costs a stack trace, and nearly every call has ended well by now
      if (ended) return
      if (!down.headersSent && session.unprocessed(from) && tryElsewhere()) return
      cut(statusOfReset(from, session.gone))
    })
  }

  function onInformational(): void {
    informational += 1
    if (informational > MAX_INFORMATIONAL)
      cut(new MeshError('MESH_PEER_PROTOCOL', 'the peer sends informational answers without end'))
  }

  function onResponse(
    this: ClientHttp2Stream,
    headers: IncomingHttpHeaders & IncomingHttpStatusHeader,
    flags: number,
    list?: readonly string[],
  ): void {
    if (ended || down.headersSent) return
    sent = null
    const raw = trimmedFields(list ?? [])
    const alone = (flags & HEADERS_END_STREAM) !== 0
    const fault = faultOf(headers[':status'] ?? 0, raw, alone, down) ?? options.onHead(raw)
    if (fault !== null) {
      cut(fault)
      return
    }
    if (!passHead(down, answerHeaders(raw, requestId, session), alone, cut)) return
    if (alone) {
      end(readStatus(fieldOnce(raw, 'grpc-status')), null)
      this.resume()
      finishDown()
      return
    }
    // not earlier: a body that overtakes its headers would end the process
    pump({
      from: this,
      to: down,
      count: (bytes) => {
        bytesDown += bytes
      },
      onStall: (to) => backlog.stalled({ from: this, to, connection: meter, cut: cutSlow }),
      end: onAnswered,
    })
    down.on('wantTrailers', () => {
      if (down.destroyed) return
      passTrailers(down, trailers ?? {}, requestId)
    })
  }

  function onAnswered(last: Buffer | null): void {
    if (ended) return
    if (last !== null && down.writable) down.write(last)
    const status = trailers?.['grpc-status']
    // Node also emits `end` for a stream of a killed peer; `close` follows with the reason
    if (status === undefined && up !== null && up.rstCode !== NGHTTP2_NO_ERROR) return
    if (status === undefined) {
      cut(withoutStatus())
      return
    }
    end(readStatus(status), null)
    finishDown()
  }

  function reset(): void {
    // once all data is written, the end leaves as soon as the connection accepts it; a reset would drop it
    if (down.writableFinished || down.closed || down.destroyed) return
    down.close(NGHTTP2_CANCEL)
  }

  return { cut, reset }
}
