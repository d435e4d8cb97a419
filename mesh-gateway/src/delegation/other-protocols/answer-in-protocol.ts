/** Encodes an error for clients of protocols other than gRPC, in a form that they show to their user. */
import { type MeshError, statusMessage } from '@clawmesh/proto'
import { errorTrailers } from '../error-trailers.ts'
import type { OtherProtocol } from './protocol-of.ts'

export interface OtherAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

const NO_BYTES = Buffer.alloc(0)
/** Flag of the Connect message that ends a stream. */
const END_OF_STREAM = 0x02
/** "This operation is not supported" in A2A; in JSON-RPC, from the range for servers. */
const UNSUPPORTED = -32_004

/** @param httpStatus for protocols without their own status for errors */
export function answerInProtocol(
  protocol: OtherProtocol,
  error: MeshError,
  requestId: string,
  httpStatus = error.row.http,
): OtherAnswer {
  switch (protocol.kind) {
    case 'grpc-web':
      // without a body, headers are trailers ("Trailers-Only")
      return {
        status: 200,
        headers: { 'content-type': protocol.contentType, ...errorTrailers(error, requestId) },
        body: NO_BYTES,
      }
    case 'connect-stream':
      return {
        status: 200,
        headers: { 'content-type': protocol.contentType },
        body: envelope(Buffer.from(JSON.stringify({ error: connectError(error) }))),
      }
    case 'connect':
      return json(httpStatus, connectError(error))
    case 'http':
      return json(httpStatus, {
        ...{ code: error.code, reason: error.publicMessage, hint: error.hint },
        // JSON-RPC 2.0 fields, and those that A2A over REST expects; the request body is not read, so the id is null
        ...{ jsonrpc: '2.0', id: null },
        error: { code: UNSUPPORTED, status: error.row.grpc, message: statusMessage(error) },
      })
  }
}

function json(status: number, body: object): OtherAnswer {
  const headers = { 'content-type': 'application/json' }
  return { status, headers, body: Buffer.from(`${JSON.stringify(body)}\n`) }
}

/** Connect, "Error end-stream" and "Unary-Response": gRPC's code names in lower case, with one exception. */
function connectError(error: MeshError): { code: string; message: string } {
  const { grpc } = error.row
  const code = grpc === 'CANCELLED' ? 'canceled' : grpc.toLowerCase()
  return { code, message: statusMessage(error) }
}

/** One byte of flags, four of length. */
function envelope(payload: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt8(END_OF_STREAM)
  head.writeUInt32BE(payload.length, 1)
  return Buffer.concat([head, payload])
}
