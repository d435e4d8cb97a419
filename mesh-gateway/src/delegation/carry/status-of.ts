/** What a peer's failure means in gRPC, where it did not say so itself. */
import { type ClientHttp2Stream, constants } from 'node:http2'
import { type ErrorCode, MeshError } from '@clawmesh/proto'

/** gRPC over HTTP/2, "HTTP2 Transport Mapping: Errors". */
export function statusOfReset(stream: ClientHttp2Stream, sessionGone: boolean): MeshError {
  if (sessionGone) return new MeshError('MESH_PEER_LOST')
  switch (stream.rstCode) {
    case constants.NGHTTP2_REFUSED_STREAM:
      return new MeshError('MESH_PEER_LOST', 'the peer refused the stream')
    case constants.NGHTTP2_CANCEL:
      return new MeshError('MESH_CALL_CANCELED', 'the peer cancelled the call')
    case constants.NGHTTP2_ENHANCE_YOUR_CALM:
      return new MeshError('MESH_LIMIT_CONCURRENCY', 'the peer asks for fewer calls')
    default:
      return new MeshError(
        'MESH_PEER_PROTOCOL',
        `the peer reset the stream with code ${stream.rstCode}`,
      )
  }
}

/** gRPC's "HTTP to gRPC Status Code Mapping", in our codes. Of an answer that is not gRPC. */
export function statusOfHttp(status: number): ErrorCode {
  switch (status) {
    case 200:
    case 400:
      return 'MESH_PEER_PROTOCOL'
    case 401:
      return 'MESH_PEER_UNAUTHENTICATED'
    case 403:
      return 'MESH_PEER_FORBIDDEN'
    case 404:
      return 'MESH_PEER_UNIMPLEMENTED'
    case 429:
    case 502:
    case 503:
    case 504:
      return 'MESH_PEER_LOST'
    default:
      // what HTTP has no such status for is no answer of HTTP either
      return status >= 100 && status < 600 ? 'MESH_PEER_NOT_GRPC' : 'MESH_PEER_PROTOCOL'
  }
}

/** What is thrown inside and has no code is a fault of the gateway's own. */
export function asMeshError(cause: unknown): MeshError {
  return cause instanceof MeshError
    ? cause
    : new MeshError('MESH_GATEWAY_INTERNAL', undefined, { cause })
}

/** The connection to the peer is going, and nothing was sent. */
export function isLost(cause: unknown): boolean {
  return cause instanceof MeshError && cause.code === 'MESH_PEER_LOST'
}
