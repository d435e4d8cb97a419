/**
 * Carries one call between caller and callee: frames, trailers, back-pressure, cancellation, deadline.
 * Never looks into a payload. Ends exactly once, with an outcome.
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
  /** Why the gateway itself ended it; null when the callee's answer went through. */
  readonly code: ErrorCode | null
  readonly bytesUp: number
  readonly bytesDown: number
}

export interface ForwardOptions {
  readonly down: ServerHttp2Stream
  /** Has a place kept for the call. */
  readonly session: UpstreamSession
  /** Opens the call there. @throws MeshError as `session.open` does */
  readonly open: (session: UpstreamSession) => ClientHttp2Stream
  /** Another session, with a place kept, when the call was surely not processed; null when there is none to try. */
  readonly elsewhere: ((failed: UpstreamSession) => Promise<UpstreamSession>) | null
  readonly requestId: string
  /** Told the head of the answer before it goes on. Answers why it must not; null when it may. */
  readonly onHead: (raw: readonly string[]) => MeshError | null
  /** Of the caller's connection. */
  readonly meter: Meter
  readonly backlog: Backlog
  readonly onEnd: (outcome: Outcome) => void
}

export interface Forwarding {
  /** Ends the call with an error of the gateway's own. */
  cut(error: MeshError): void
  /** Ends what is left of it at once, for a caller that does not read on to the end. */
  reset(): void
}

const { NGHTTP2_CANCEL, NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_NO_ERROR } = constants
const HEADERS_END_STREAM = 0x1
/** A request that is longer is not kept for a second try. */
const KEPT_BYTES = 16_384

/** Listens with `on` where an event comes once: `once` costs a wrapper and a removal each, for every call. */
export function forward(options: ForwardOptions): Forwarding {
  const { down, requestId, meter, backlog } = options
  let session = options.session
  let elsewhere = options.elsewhere
  let up: ClientHttp2Stream | null = null
  /** What was written to the callee, until it answers; null when it cannot be sent again. */
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

  /** Tells the caller of an error, in whatever part of the answer is still to come. */
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

  /** Answers the callee's stream, or tries elsewhere, or ends the call. */
  function open(): ClientHttp2Stream | null {
    try {
      return options.open(session)
    } catch (cause) {
      if (!isLost(cause) || !tryElsewhere()) fail(cause)
      return null
    }
  }

  const fail = (cause: unknown) => cut(asMeshError(cause))

  /** False when the call has to end here. */
  function tryElsewhere(): boolean {
    if (elsewhere === null || sent === null) return false
    const another = elsewhere
    elsewhere = null
    down.pause()
    another(session).then(again).catch(fail)
    return true
  }

  /** The same call from its beginning. */
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
    // who does not read cannot be told; what is held is to be let go
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
    // once the answer has begun, a turn later: its trailers may have arrived in this one, and then nothing was cancelled
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
      // after a cut the last word is the gateway's
      if (ended) return
      const kept = endTrailers(trimmedFields(raw ?? []), session, down)
      if (kept instanceof MeshError) cut(kept)
      else trailers = kept
    })
    // what an error means, `close` tells; without a listener it would end the process
    from.on('error', () => {})
    from.on('close', () => {
      // asked first: an error takes a stack trace, and nearly every call has ended well by now
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
    // only now: a body that overtakes its headers would end the process
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
    // Node ends what it could not read to the end, too: a peer that was killed. `close` follows, and knows why
    if (status === undefined && up !== null && up.rstCode !== NGHTTP2_NO_ERROR) return
    if (status === undefined) {
      cut(withoutStatus())
      return
    }
    end(readStatus(status), null)
    finishDown()
  }

  function reset(): void {
    // where no message waits any more the end leaves as soon as the connection takes it: a reset would drop it
    if (down.writableFinished || down.closed || down.destroyed) return
    down.close(NGHTTP2_CANCEL)
  }

  return { cut, reset }
}
