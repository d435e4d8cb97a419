/**
 * Answers in the gateway's own name: a trailers-only gRPC status with details, or plain HTTP for what
 * is not gRPC at all.
 */
import type { ServerHttp2Stream } from 'node:http2'
import {
  encodeStatusDetails,
  GRPC_STATUS,
  HEADER_REFUSAL,
  METADATA_REQUEST_ID,
  METADATA_STATUS_DETAILS,
  type MeshError,
  statusMessage,
} from '@clawmesh/proto'
import { stopReading } from './stop-reading.ts'

/** Trailers that carry an error; also the whole head of a trailers-only answer. */
export function errorTrailers(error: MeshError, requestId: string): Record<string, string> {
  return {
    'grpc-status': String(GRPC_STATUS[error.row.grpc]),
    'grpc-message': encodeGrpcMessage(statusMessage(error)),
    [METADATA_STATUS_DETAILS]: encodeStatusDetails(error).toString('base64').replace(/=+$/, ''),
    [METADATA_REQUEST_ID]: requestId,
    // nothing of a callee passes under this name: these are the gateway's words
    [HEADER_REFUSAL]: error.code,
  }
}

/** In the form that the client reads. */
export function refuseRequest(
  stream: ServerHttp2Stream,
  error: MeshError,
  requestId: string,
): void {
  if (error.code === 'MESH_ROUTE_NOT_GRPC') refusePlainly(stream, error)
  else refuseCall(stream, error, requestId)
}

/** Refuses a call that has not been answered yet. */
export function refuseCall(stream: ServerHttp2Stream, error: MeshError, requestId: string): void {
  if (stream.destroyed || stream.closed) return
  stream.respond(
    { ':status': 200, 'content-type': 'application/grpc', ...errorTrailers(error, requestId) },
    { endStream: true },
  )
  stopReading(stream)
}

/** Tells a client that does not speak gRPC so, with the HTTP status of the error. */
function refusePlainly(stream: ServerHttp2Stream, error: MeshError): void {
  if (stream.destroyed || stream.closed) return
  const { code, message: reason, hint } = error
  stream.respond({ ':status': error.row.http, 'content-type': 'application/json' })
  stream.end(`${JSON.stringify({ code, reason, hint })}\n`)
  stopReading(stream)
}

/** Percent-encoding of grpc-message: space to tilde but for % (gRPC over HTTP/2, "Status-Message"). */
export function encodeGrpcMessage(message: string): string {
  return Buffer.from(message.toWellFormed(), 'utf8').reduce(
    (text, byte) =>
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? text + String.fromCharCode(byte)
        : `${text}%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
    '',
  )
}
