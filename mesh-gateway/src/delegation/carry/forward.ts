/**
 * Forwards one call between caller and callee: frames, trailers, back-pressure, cancellation, deadline. Never looks
 * into a payload. Ends exactly once, with an outcome.
 */
import { type ClientHttp2Stream, constants, type ServerHttp2Stream } from 'node:http2'
import type { Duplex } from 'node:stream'
import { type ErrorCode, GRPC_STATUS, MeshError } from '@clawmesh/proto'
import { AROUND_DATA_BYTES } from '../client/meter.ts'
import { errorTrailers } from '../error-trailers.ts'
import { fieldOnce, trimmedFields } from '../field-values.ts'
import { refuseCall } from '../respond.ts'
import type { UpstreamSession } from '../upstream/session.ts'
import type { Forwarding, ForwardOptions } from './forwarding.ts'
import { KeptRequest } from './kept-request.ts'
import { MAX_INFORMATIONAL, passHead, passTrailers } from './pass-response.ts'
import { answerHeaders, endTrailers, faultOf, readStatus, withoutStatus } from './peer-response.ts'
import { type Pump, pump } from './pump.ts'
import { asMeshError, isLost, statusOfReset } from './status-of.ts'
import { stopReading } from './stop-reading.ts'

const { NGHTTP2_CANCEL, NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_NO_ERROR } = constants
const HEADERS_END_STREAM = 0x1

/** Forwards one call. */
export function forward(options: ForwardOptions): Forwarding {
  const call = new ForwardedCall(options)
  call.start()
  return call
}

/** Uses `on` for events that come once: `once` costs a wrapper and a removal for every call. */
class ForwardedCall implements Forwarding {
  readonly #options: ForwardOptions
  readonly #down: ServerHttp2Stream
  #session: UpstreamSession
  /** Null when the call has been retried, or may not be. */
  #elsewhere: ForwardOptions['elsewhere']
  #up: ClientHttp2Stream | null = null
  #upwards: Pump | null = null
  /** Null when the call can no longer be retried. */
  #kept: KeptRequest | null
  #informational = 0
  #bytesUp = 0
  #bytesDown = 0
  #ended = false
  #trailers: Record<string, string | string[]> | null = null

  constructor(options: ForwardOptions) {
    this.#options = options
    this.#down = options.down
    this.#session = options.session
    this.#elsewhere = options.elsewhere
    this.#kept = options.elsewhere === null ? null : new KeptRequest()
  }

  start(): void {
    const down = this.#down
    const { meter } = this.#options
    const up = this.#open()
    if (this.#ended) return
    this.#upwards = pump({
      from: down,
      to: up,
      count: (bytes) => {
        this.#bytesUp += bytes
        meter.bytes += bytes + AROUND_DATA_BYTES
      },
      onWrite: (chunk) => this.#keep(chunk),
      onStall: (to) => this.#stalled(down, to),
      end: (last) => this.#onAsked(last),
    })
    down.on('close', () => this.#onCallerClosed())
    if (up !== null) this.#listen(up)
  }

  cut(error: MeshError): void {
    if (this.#ended) return
    this.#end(GRPC_STATUS[error.row.grpc], error.code)
    this.#cancelUp()
    const { requestId } = this.#options
    if (!this.#down.headersSent) {
      refuseCall(this.#down, error, requestId)
      return
    }
    this.#trailers = errorTrailers(error, requestId)
    this.#finishDown()
  }

  reset(): void {
    const down = this.#down
    // once all data is written, the end leaves as soon as the connection accepts it; a reset would drop it
    if (down.writableFinished || down.closed || down.destroyed) return
    down.close(NGHTTP2_CANCEL)
  }

  #end(grpcStatus: number, code: ErrorCode | null): void {
    if (this.#ended) return
    this.#ended = true
    this.#options.onEnd({ grpcStatus, code, bytesUp: this.#bytesUp, bytesDown: this.#bytesDown })
  }

  #cancelUp(): void {
    if (this.#up !== null && !this.#up.closed) this.#up.close(NGHTTP2_CANCEL)
  }

  #finishDown(): void {
    const down = this.#down
    if (down.destroyed) return
    if (!down.writableEnded) down.end()
    stopReading(down)
  }

  /** Opens the callee's stream. When that fails, retries elsewhere or ends the call. */
  #open(): ClientHttp2Stream | null {
    try {
      this.#up = this.#options.open(this.#session)
    } catch (cause) {
      this.#up = null
      if (!isLost(cause) || !this.#tryElsewhere()) this.cut(asMeshError(cause))
    }
    return this.#up
  }

  /** Returns false when no retry is possible and the call must end. */
  #tryElsewhere(): boolean {
    const another = this.#elsewhere
    if (another === null || this.#kept === null) return false
    this.#elsewhere = null
    this.#kept.holdAll()
    this.#down.pause()
    another(this.#session)
      .then((found) => this.#again(found))
      .catch((cause: unknown) => this.cut(asMeshError(cause)))
    return true
  }

  /** Sends the same call again, from its beginning. */
  #again(found: UpstreamSession): void {
    if (this.#ended) {
      found.release()
      return
    }
    this.#session = found
    const up = this.#open()
    if (up === null) return
    this.#upwards?.divert(up)
    this.#listen(up)
    this.#kept?.sendTo(up)
    this.#kept = null
    this.#down.resume()
  }

  /** Registers a direction whose reader is slow. Returns the function to call when it continues. */
  #stalled(from: Duplex, to: Duplex): () => void {
    const { backlog, meter } = this.#options
    return backlog.stalled({ from, to, connection: meter, cut: () => this.#cutSlow() })
  }

  #cutSlow(): void {
    this.#end(GRPC_STATUS.RESOURCE_EXHAUSTED, 'MESH_LIMIT_SIZE')
    // a caller that does not read gets no trailers: reset both streams to free their buffers
    this.#cancelUp()
    this.#up?.destroy()
    if (!this.#down.destroyed) this.#down.close(NGHTTP2_ENHANCE_YOUR_CALM)
    this.#down.destroy()
  }

  #keep(chunk: Buffer): void {
    if (this.#kept?.keep(chunk) === false) this.#kept = null
  }

  /** The caller has sent all. */
  #onAsked(last: Buffer | null): void {
    if (last !== null) this.#keep(last)
    if (this.#kept !== null) this.#kept.ended = true
    const up = this.#up
    if (up === null || !up.writable) return
    if (last === null) up.end()
    else up.end(last)
  }

  #onCallerClosed(): void {
    // once the answer has begun, wait one turn: its trailers may have arrived in this one, and then nothing was
    // cancelled
    if (!this.#ended && this.#down.headersSent) setImmediate(() => this.#abandon())
    else this.#abandon()
  }

  #abandon(): void {
    this.#cancelUp()
    this.#end(GRPC_STATUS.CANCELLED, 'MESH_CALL_CANCELED')
  }

  #listen(from: ClientHttp2Stream): void {
    from.on('response', (headers, flags, raw: readonly string[]) =>
      this.#onResponse(from, headers[':status'] ?? 0, flags, raw),
    )
    from.on('headers', () => this.#onInformational())
    from.on('trailers', (_headers, _flags, raw: readonly string[]) => this.#onTrailers(raw))
    // `close` follows and carries the reason; an `error` event without a listener would end the process
    from.on('error', ignore)
    from.on('close', () => this.#onCalleeClosed(from))
  }

  #onInformational(): void {
    this.#informational += 1
    if (this.#informational <= MAX_INFORMATIONAL) return
    const message = 'the peer sends informational answers without end'
    this.cut(new MeshError('MESH_PEER_PROTOCOL', message))
  }

  #onResponse(
    from: ClientHttp2Stream,
    status: number,
    flags: number,
    fields: readonly string[],
  ): void {
    const down = this.#down
    if (this.#ended || down.headersSent) return
    this.#kept = null
    const raw = trimmedFields(fields)
    const alone = (flags & HEADERS_END_STREAM) !== 0
    const fault = faultOf(status, raw, alone, down) ?? this.#options.onHead(raw)
    if (fault !== null) this.cut(fault)
    else if (this.#passHead(raw, alone)) {
      if (alone) this.#endAlone(from, raw)
      else this.#passBody(from)
    }
  }

  #passHead(raw: readonly string[], alone: boolean): boolean {
    const down = this.#down
    if (down.destroyed || down.closed) return false
    const { requestId, rootId } = this.#options
    const head = answerHeaders(raw, requestId, this.#session, rootId())
    const fault = passHead(down, head, alone)
    if (fault !== null) this.cut(fault)
    return fault === null
  }

  /** Nothing follows the head, which contains the status. */
  #endAlone(from: ClientHttp2Stream, raw: readonly string[]): void {
    this.#end(readStatus(fieldOnce(raw, 'grpc-status')), null)
    from.resume()
    this.#finishDown()
  }

  /** To be called after the head is sent: a body that overtakes its headers would end the process. */
  #passBody(from: ClientHttp2Stream): void {
    const down = this.#down
    pump({
      from,
      to: down,
      count: (bytes) => {
        this.#bytesDown += bytes
      },
      onStall: (to) => this.#stalled(from, to),
      end: (last) => this.#onAnswered(last),
    })
    down.on('wantTrailers', () => {
      if (!down.destroyed) passTrailers(down, this.#trailers ?? {}, this.#options.requestId)
    })
  }

  #onTrailers(raw: readonly string[]): void {
    // after a cut the gateway has already ended the answer
    if (this.#ended) return
    const kept = endTrailers(trimmedFields(raw), this.#session, this.#down)
    if (kept instanceof MeshError) this.cut(kept)
    else this.#trailers = kept
  }

  #onAnswered(last: Buffer | null): void {
    if (this.#ended) return
    if (last !== null && this.#down.writable) this.#down.write(last)
    const status = this.#trailers?.['grpc-status']
    if (status === undefined) {
      // Node also emits `end` for a stream of a killed peer; `close` follows with the reason
      if (this.#up === null || this.#up.rstCode === NGHTTP2_NO_ERROR) this.cut(withoutStatus())
      return
    }
    this.#end(readStatus(status), null)
    this.#finishDown()
  }

  #onCalleeClosed(from: ClientHttp2Stream): void {
    // checked first: an error costs a stack trace, and nearly every call has ended well by now
    if (this.#ended) return
    if (!this.#down.headersSent && this.#session.unprocessed(from) && this.#tryElsewhere()) return
    this.cut(statusOfReset(from, this.#session.gone))
  }
}

function ignore(): void {}
