/** Errors to gRPC statuses and back. The details travel in grpc-status-details-bin; a plain status still says enough. */

import {
  type ErrorCode,
  GRPC_STATUS,
  HEADER_REFUSAL,
  METADATA_STATUS_DETAILS,
  MeshError,
  statusMessage,
} from '@clawmesh/proto'
import { decodeStatusDetails, encodeStatusDetails } from '@clawmesh/proto/wire'
import { Metadata, type ServiceError, type StatusObject, status } from '@grpc/grpc-js'
import { ofOpenSsl } from './openssl-words.ts'
import { peerWords, plainText } from './peer-words.ts'

const NO_TLS =
  'what listens there speaks no TLS: the delegation port of a gateway is 8443 by default'

/** What a server ends a call with. Anything but a MeshError says nothing of what happened inside. */
export function errorToStatus(error: unknown): StatusObject {
  const shown =
    error instanceof MeshError
      ? error
      : new MeshError('MESH_GATEWAY_INTERNAL', undefined, { cause: error })
  const metadata = new Metadata()
  metadata.set(METADATA_STATUS_DETAILS, encodeStatusDetails(shown))
  // from an agent it goes no further than the gateway; the gateway's own services are heard as the gateway
  metadata.set(HEADER_REFUSAL, shown.code)
  return { code: GRPC_STATUS[shown.row.grpc], details: statusMessage(shown), metadata }
}

/**
 * The MeshError that a failed call means. Only what the gateway itself has said is taken as it came: a callee's code, hint and
 * facts would otherwise be advice in the gateway's name.
 */
export function statusToError(error: unknown): MeshError {
  if (error instanceof MeshError) return error
  if (!isServiceError(error))
    return new MeshError('MESH_PEER_PROTOCOL', undefined, { cause: error })
  const [details] = error.metadata.get(METADATA_STATUS_DETAILS)
  const decoded = Buffer.isBuffer(details) ? decodeStatusDetails(details) : null
  if (decoded !== null)
    return error.metadata.get(HEADER_REFUSAL).length > 0 ? decoded : peerWords(decoded)
  const code = BY_STATUS.get(error.code) ?? 'MESH_PEER_PROTOCOL'
  const why = unconnected(error)
  return new MeshError(code, why === null ? undefined : `the gateway cannot be reached: ${why}`, {
    cause: error,
    facts: { grpc_status: status[error.code] ?? 'UNKNOWN' },
  })
}

/** Why there was no connection for a call, as grpc-js says it. Null for a call that failed otherwise. */
export function connectionFailure(error: unknown): string | null {
  if (!isServiceError(error) || error.code !== status.UNAVAILABLE) return null
  return unconnected(error) ?? plainText(error.details)
}

/** The words of grpc-js for a connection that was never made: they name the address and the cause. */
function unconnected({ code, details }: ServiceError): string | null {
  if (code !== status.UNAVAILABLE) return null
  const why =
    /^(?:No connection established\. Last error: (?:Error: )?|(?=Name resolution failed))(.*?)(?:\.? Resolution note: .*)?$/s.exec(
      details,
    )?.[1]
  return why === undefined ? null : plainText(ofOpenSsl(why, NO_TLS))
}

/** What a status without details of ours means: it comes from the connection, from grpc-js, or from a server that is not ours. */
const BY_STATUS: ReadonlyMap<number, ErrorCode> = new Map([
  [status.CANCELLED, 'MESH_CALL_CANCELED'],
  [status.DEADLINE_EXCEEDED, 'MESH_CALL_DEADLINE'],
  [status.INVALID_ARGUMENT, 'MESH_TASK_REQUEST_INVALID'],
  [status.NOT_FOUND, 'MESH_TASK_NOT_FOUND'],
  [status.PERMISSION_DENIED, 'MESH_POLICY_NOT_ALLOWED'],
  [status.RESOURCE_EXHAUSTED, 'MESH_LIMIT_SIZE'],
  [status.UNAVAILABLE, 'MESH_GATEWAY_UNREACHABLE'],
  [status.UNAUTHENTICATED, 'MESH_IDENTITY_UNTRUSTED'],
])

function isServiceError(error: unknown): error is ServiceError {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'number' &&
    'metadata' in error &&
    error.metadata instanceof Metadata
  )
}
