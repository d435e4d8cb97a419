/** Answers HTTP/1.1 clients on the delegation port that want another protocol than it serves. */
import type { IncomingMessage, ServerResponse } from 'node:http'
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
/** Says which protocol to use, and ends the connection. */
export function answerHttp1(request: IncomingMessage, response: ServerResponse): void {
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
