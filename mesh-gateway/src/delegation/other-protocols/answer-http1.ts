/**
 * Answers HTTP/1.1 clients on the delegation port: each request gets the protocol to use, then the connection is
 * closed.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { uuidV7 } from '@clawmesh/proto'
import { answerInProtocol } from './answer-in-protocol.ts'
import { notGrpc, protocolOf } from './protocol-of.ts'

/**
 * Chooses the ALPN protocol, best first. Accepts HTTP/1.1 too: a client refused in the handshake would get no reason.
 */
export function chooseProtocol({
  protocols,
}: {
  readonly protocols: readonly string[]
}): string | undefined {
  return ['h2', 'http/1.1'].find((known) => protocols.includes(known))
}

const VERSION_NOT_SUPPORTED = 505
const MAX_HEAD_BYTES = 16_384

/** Returns a function that answers on a connection. The guard of the port ends slow ones. */
export function createHttp1Answers(): (socket: TLSSocket) => void {
  const server = createServer({ maxHeaderSize: MAX_HEAD_BYTES, keepAlive: false }, answer)
  // a malformed head has no protocol in which to answer
  server.on('clientError', (_error, socket) => socket.destroy())
  return (socket) => void server.emit('connection', socket)
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const { method = '', url: path = '', headers } = request
  const { 'content-type': contentType = '' } = headers
  const connectVersion = headers['connect-protocol-version'] !== undefined
  const protocol = protocolOf({ method, path, contentType, connectVersion })
  const requestId = uuidV7()
  const answered = answerInProtocol(protocol, notGrpc(protocol), requestId, VERSION_NOT_SUPPORTED)
  request.resume()
  response.writeHead(answered.status, {
    ...answered.headers,
    ...{ 'x-request-id': requestId, 'content-length': answered.body.length, connection: 'close' },
  })
  response.end(method === 'HEAD' ? '' : answered.body)
}
