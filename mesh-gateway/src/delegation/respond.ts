/** The gateway's own responses: a trailers-only gRPC status with details, or the form of another protocol. */
import type { ServerHttp2Stream } from 'node:http2'
import type { MeshError } from '@clawmesh/proto'
import { stopReading } from './carry/stop-reading.ts'
import { errorTrailers } from './error-trailers.ts'
import { answerInProtocol } from './other-protocols/answer-in-protocol.ts'
import type { OtherProtocol } from './other-protocols/protocol-of.ts'

/** Refuses a call that has not been answered yet. */
export function refuseCall(stream: ServerHttp2Stream, error: MeshError, requestId: string): void {
  if (stream.destroyed || stream.closed) return
  stream.respond(
    { ':status': 200, 'content-type': 'application/grpc', ...errorTrailers(error, requestId) },
    { endStream: true },
  )
  stopReading(stream)
}

/** Refuses a request that is not gRPC. */
export function refuseOther(
  stream: ServerHttp2Stream,
  error: MeshError,
  requestId: string,
  protocol: OtherProtocol,
): void {
  if (stream.destroyed || stream.closed) return
  const { status, headers, body } = answerInProtocol(protocol, error, requestId)
  stream.respond({ ':status': status, 'x-request-id': requestId, ...headers })
  stream.end(body)
  stopReading(stream)
}
