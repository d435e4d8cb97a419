/** Encodes an error of the gateway as gRPC fields: trailers, or the whole head of an answer. */
import {
  GRPC_STATUS,
  HEADER_REFUSAL,
  METADATA_REQUEST_ID,
  METADATA_STATUS_DETAILS,
  type MeshError,
  statusMessage,
} from '@clawmesh/proto'
import { encodeStatusDetails } from '@clawmesh/proto/wire'

/** The trailers that carry an error; also the whole head of a trailers-only answer. */
export function errorTrailers(error: MeshError, requestId: string): Record<string, string> {
  return {
    'grpc-status': String(GRPC_STATUS[error.row.grpc]),
    'grpc-message': encodeGrpcMessage(statusMessage(error)),
    [METADATA_STATUS_DETAILS]: encodeStatusDetails(error).toString('base64').replace(/=+$/, ''),
    [METADATA_REQUEST_ID]: requestId,
    // a callee cannot set this header: it marks the gateway's own refusals
    [HEADER_REFUSAL]: error.code,
  }
}

/** Percent-encoding of grpc-message: all but space to tilde, and `%` (gRPC over HTTP/2, "Status-Message"). */
function encodeGrpcMessage(message: string): string {
  return Buffer.from(message.toWellFormed(), 'utf8').reduce(
    (text, byte) =>
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? text + String.fromCharCode(byte)
        : `${text}%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
    '',
  )
}
