/** Maps a peer's failure to a gRPC status where the peer gave none. */
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

/** gRPC's "HTTP to gRPC Status Code Mapping" as error codes of the mesh, for an answer that is not gRPC. */
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
      // a status outside HTTP's range is not even an HTTP answer
      return status >= 100 && status < 600 ? 'MESH_PEER_NOT_GRPC' : 'MESH_PEER_PROTOCOL'
  }
}

/** An error without a code counts as a fault of the gateway. */
export function asMeshError(cause: unknown): MeshError {
  return cause instanceof MeshError
    ? cause
    : new MeshError('MESH_GATEWAY_INTERNAL', undefined, { cause })
}

/** True when the connection to the peer is closing and nothing was sent. */
export function isLost(cause: unknown): boolean {
  return cause instanceof MeshError && cause.code === 'MESH_PEER_LOST'
}
