/** Requests to the MCP endpoint over HTTP/2, in the form that the endpoint takes. */
import {
  Http2ServerRequest,
  Http2ServerResponse,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import type { Client } from '../client/authenticate.ts'
import type { McpEndpoint } from './endpoint.ts'

/** @param rawHeaders names and values in turn, without whitespace around values */
export function serveHttp2(
  endpoint: Pick<McpEndpoint, 'serve'>,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  rawHeaders: readonly string[],
  client: Client,
): void {
  const request = new Http2ServerRequest(stream, headers, {}, rawHeaders)
  const response = new Http2ServerResponse(stream)
  endpoint.serve(request, response, client)
}
