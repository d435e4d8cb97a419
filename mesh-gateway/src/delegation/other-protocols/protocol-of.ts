/** Detects the protocol of a client that does not speak gRPC, from its request headers. */
import { MeshError } from '@clawmesh/proto'

export type OtherProtocol =
  /** `application/grpc-web`, including its text form. */
  | { readonly kind: 'grpc-web'; readonly contentType: string }
  /** Unary calls of Connect. */
  | { readonly kind: 'connect' }
  /** Streams of Connect: an error is in the last message, under status 200. */
  | { readonly kind: 'connect-stream'; readonly contentType: string }
  /** Anything else over HTTP: JSON-RPC and REST of A2A, a browser, curl. */
  | { readonly kind: 'http' }

export interface RequestHead {
  readonly method: string
  readonly path: string
  /** Empty without one. */
  readonly contentType: string
  /** It has the header `connect-protocol-version`. */
  readonly connectVersion: boolean
}

const GRPC_WEB = /^application\/grpc-web(?:-text)?(?:\+(?:proto|json))?$/
const CONNECT_STREAM = /^application\/connect\+(?:proto|json)$/

export function protocolOf(head: RequestHead): OtherProtocol {
  const contentType = (head.contentType.split(';', 1)[0] ?? '').trim().toLowerCase()
  if (GRPC_WEB.test(contentType)) return { kind: 'grpc-web', contentType }
  if (CONNECT_STREAM.test(contentType)) return { kind: 'connect-stream', contentType }
  const get = head.method === 'GET' && /[?&]connect=v1(?:&|$)/.test(head.path)
  const connect = get || head.connectVersion || contentType === 'application/proto'
  return { kind: connect ? 'connect' : 'http' }
}

/** The head of an HTTP/2 request. @param raw names and values in turn */
export function headOf(raw: readonly string[]): RequestHead {
  const first = (name: string) => {
    for (let i = 0; i + 1 < raw.length; i += 2) if (raw[i] === name) return raw[i + 1] ?? ''
    return null
  }
  return {
    method: first(':method') ?? '',
    path: first(':path') ?? '',
    contentType: first('content-type') ?? '',
    connectVersion: first('connect-protocol-version') !== null,
  }
}

const HINTS: Readonly<Record<OtherProtocol['kind'], string>> = Object.freeze({
  'grpc-web':
    'use a gRPC client with the certificate of the agent: in connect-es createGrpcTransport in place of createGrpcWebTransport',
  connect:
    'use the gRPC protocol over HTTP/2: in connect-es createGrpcTransport in place of createConnectTransport, in connect-go connect.WithGRPC()',
  'connect-stream':
    'use the gRPC protocol over HTTP/2: in connect-es createGrpcTransport in place of createConnectTransport, in connect-go connect.WithGRPC()',
  http: 'POST /package.Service/Method with content-type application/grpc over HTTP/2; A2A passes by its gRPC binding (protocolBinding GRPC), not by JSON-RPC or REST; for a look, use grpcurl',
})

/** The error for such a client, with a hint for its protocol. */
export function notGrpc({ kind }: OtherProtocol): MeshError {
  return new MeshError('MESH_ROUTE_NOT_GRPC', undefined, { hint: HINTS[kind] })
}
