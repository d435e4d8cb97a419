/**
 * Carries one call between caller and callee: frames, trailers, back-pressure, cancellation, deadline.
 * Never looks into a payload. Ends exactly once, with an outcome.
 */
import { type ClientHttp2Stream, constants, type ServerHttp2Stream } from 'node:http2'
import { type ErrorCode, GRPC_STATUS, MeshError } from '@clawmesh/proto'
import { AROUND_DATA_BYTES, type Meter } from './guard/meter.ts'
import { pump } from './pump.ts'
import { errorTrailers, refuseCall } from './refuse.ts'
import { statusOfHttp, statusOfReset } from './status-of.ts'

export interface Outcome {
  readonly grpcStatus: number
  /** Why the gateway itself ended it; null when the callee's answer went through. */
  readonly code: ErrorCode | null
  readonly bytesUp: number
  readonly bytesDown: number
}

export interface ForwardOptions {
  readonly down: ServerHttp2Stream
  readonly up: ClientHttp2Stream
  readonly requestId: string
  /** Of the caller's connection. */
  readonly meter: Meter
  readonly onEnd: (outcome: Outcome) => void
}

export interface Forwarding {
  /** Ends the call with an error of the gateway's own. */
  cut(error: MeshError): void
}

const { NGHTTP2_CANCEL, NGHTTP2_NO_ERROR } = constants
const RESPOND_WITH_TRAILERS = Object.freeze({ waitForTrailers: true, sendDate: false })
const RESPOND_ALONE = Object.freeze({ endStream: true, sendDate: false })
const HEADERS_END_STREAM = 0x1

/**
 * Listens with `on` where an event comes once: `once` costs a wrapper and a removal each, for every call.
 */
export function forward(options: ForwardOptions): Forwarding {
  const { down, up, requestId, meter } = options
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
    if (!up.closed) up.close(NGHTTP2_CANCEL)
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
    if (down.readableEnded) return
    // a caller that still sends is asked to stop, once it has the whole answer (RFC 9113, section 8.1)
    down.resume()
    if (down.writableFinished) down.close(NGHTTP2_NO_ERROR)
    else down.once('finish', () => down.close(NGHTTP2_NO_ERROR))
  }

  // -- caller to callee
  pump({
    from: down,
    to: up,
    count: (bytes) => {
      bytesUp += bytes
      meter.bytes += bytes + AROUND_DATA_BYTES
    },
    end: (last) => {
      if (!up.writable) return
      if (last === null) up.end()
      else up.end(last)
    },
  })
  down.on('close', () => {
    if (!up.closed) up.close(NGHTTP2_CANCEL)
    end(GRPC_STATUS.CANCELLED, 'MESH_CALL_CANCELED')
  })

  // -- callee to caller
  up.on('response', (headers, flags, raw?: string[]) => {
    if (ended || down.headersSent) return
    const status = headers[':status'] ?? 0
    const contentType = headers['content-type'] ?? ''
    if (status !== 200 || !contentType.startsWith('application/grpc')) {
      const grpc = statusOfHttp(status)
      return cut(
        new MeshError(grpc, `the peer answered HTTP ${status}, not gRPC`, {
          facts: { http_status: String(status) },
        }),
      )
    }
    const answer = answerHeaders(raw ?? [], requestId)
    if ((flags & HEADERS_END_STREAM) !== 0) {
      down.respond(answer, RESPOND_ALONE)
      end(readStatus(headers['grpc-status']), null)
      up.resume()
      return finishDown()
    }
    down.respond(answer, RESPOND_WITH_TRAILERS)
    // only now: a body that overtakes its headers would end the process
    pump({
      from: up,
      to: down,
      count: (bytes) => {
        bytesDown += bytes
      },
      end: onAnswered,
    })
    down.on('wantTrailers', () => {
      if (!down.destroyed) down.sendTrailers(trailers ?? {})
    })
  })
  up.on('trailers', (headers) => {
    trailers = endTrailers(headers)
  })
  function onAnswered(last: Buffer | null): void {
    if (ended) return
    if (last !== null && down.writable) down.write(last)
    const status = trailers?.['grpc-status']
    if (status === undefined) {
      cut(new MeshError('MESH_PEER_PROTOCOL', 'the peer ended without a grpc-status'))
      return
    }
    end(readStatus(status), null)
    finishDown()
  }
  // what an error means, `close` tells; without a listener it would end the process
  up.on('error', () => {})
  up.on('close', () => {
    // asked first: an error takes a stack trace, and nearly every call has ended well by now
    if (!ended) cut(statusOfReset(up))
  })

  return { cut }
}

/** The callee's headers as they came, less what is the gateway's to say. */
function answerHeaders(raw: readonly string[], requestId: string): string[] {
  const headers: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] ?? ''
    if (!name.startsWith('x-mesh-') && name !== 'x-request-id') headers.push(name, raw[i + 1] ?? '')
  }
  headers.push('x-request-id', requestId)
  return headers
}

function endTrailers(
  headers: Readonly<Record<string, unknown>>,
): Record<string, string | string[]> {
  const kept: Record<string, string | string[]> = {}
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined || name.startsWith(':') || name.startsWith('x-mesh-')) continue
    kept[name] = Array.isArray(value) ? value.map(String) : String(value)
  }
  return kept
}

function readStatus(value: unknown): number {
  const status = Number(value)
  return Number.isInteger(status) && status >= 0 && status <= 16 ? status : GRPC_STATUS.UNKNOWN
}
