/**
 * Errors on the gRPC wire: google.rpc.Status with ErrorInfo and RetryInfo (https://google.aip.dev/193).
 * Conversion happens here and nowhere else.
 */
import { ERRORS, GRPC_STATUS, isErrorCode } from './codes.ts'
import { MeshError } from './mesh-error.ts'
import { loadProto, messageOf } from './services.ts'
import { statusMessage } from './status-message.ts'

export const ERROR_DOMAIN = 'clawmesh'

interface Any {
  type_url: string
  value: Buffer
}
interface Status {
  code: number
  message: string
  details: Any[]
}
interface ErrorInfo {
  reason: string
  domain: string
  metadata: Record<string, string>
}
interface RetryInfo {
  retry_delay: { seconds: number; nanos: number } | null
}

const definition = loadProto('google/rpc/status.proto', 'google/rpc/error_details.proto')
const status = messageOf<Status>(definition, 'google.rpc.Status')
const errorInfo = messageOf<ErrorInfo>(definition, 'google.rpc.ErrorInfo')
const retryInfo = messageOf<RetryInfo>(definition, 'google.rpc.RetryInfo')
const TYPE_PREFIX = 'type.googleapis.com/'
const ERROR_INFO = `${TYPE_PREFIX}google.rpc.ErrorInfo`
const RETRY_INFO = `${TYPE_PREFIX}google.rpc.RetryInfo`

/** The bytes of grpc-status-details-bin. Hint and message alone travel as metadata `hint` and `message`. */
export function encodeStatusDetails(error: MeshError): Buffer {
  const info: ErrorInfo = {
    reason: error.code,
    domain: ERROR_DOMAIN,
    metadata: { ...error.facts, hint: error.hint, message: error.publicMessage },
  }
  const details: Any[] = [{ type_url: ERROR_INFO, value: errorInfo.serialize(info) }]
  if (error.retryAfterMs !== undefined) {
    const ms = Math.max(0, Math.ceil(error.retryAfterMs))
    const delay = { seconds: Math.floor(ms / 1000), nanos: (ms % 1000) * 1e6 }
    details.push({ type_url: RETRY_INFO, value: retryInfo.serialize({ retry_delay: delay }) })
  }
  return status.serialize({
    code: GRPC_STATUS[error.row.grpc],
    // Go reads the message from here and not from grpc-message
    message: statusMessage(error),
    details,
  })
}

/** The error that grpc-status-details-bin carries, or null when it is not one of ours. */
export function decodeStatusDetails(bytes: Uint8Array): MeshError | null {
  try {
    const decoded = status.deserialize(Buffer.from(bytes))
    const info = decoded.details.find((detail) => detail.type_url === ERROR_INFO)
    if (info === undefined) return null
    const { reason, domain, metadata } = errorInfo.deserialize(info.value)
    if (domain !== ERROR_DOMAIN || !isErrorCode(reason)) return null
    const { hint = ERRORS[reason].hint, message = decoded.message, ...facts } = metadata
    const retry = decoded.details.find((detail) => detail.type_url === RETRY_INFO)
    const delay = retry === undefined ? null : retryInfo.deserialize(retry.value).retry_delay
    const retryAfterMs =
      delay === null ? {} : { retryAfterMs: delay.seconds * 1000 + delay.nanos / 1e6 }
    return new MeshError(reason, message, { hint, facts, ...retryAfterMs })
  } catch {
    // bytes of a peer that are not a Status are no error of ours; the plain grpc-status still speaks
    return null
  }
}
