/** Clients of the MCP endpoint: the official one, and bare HTTP of both versions, each with an agent's certificate. */
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { Agent, type RequestInit, type Response, fetch as undiciFetch } from 'undici'

export interface McpPlace {
  /** `host:port` of the delegation port. */
  readonly delegation: string
  /** A name of the gateway's certificate. */
  readonly name: string
  /** The identity directory of the agent. */
  readonly identityDir: string
  readonly http2?: boolean
}

export interface McpFetch {
  readonly url: URL
  fetch(init?: RequestInit, path?: string): Promise<Response>
  /** POSTs one message. */
  post(message: unknown, headers?: Readonly<Record<string, string>>): Promise<Response>
  readonly dispatcher: Agent
  close(): Promise<void>
}

/** Reads the certificate now: a later one is shown by a later client. */
export async function mcpFetch(place: McpPlace): Promise<McpFetch> {
  const file = (name: string) => readFile(join(place.identityDir, name))
  const [ca, cert, key] = await Promise.all(['ca.crt', 'tls.crt', 'tls.key'].map(file))
  const [host = '', port = ''] = place.delegation.split(':')
  const dispatcher = new Agent({
    allowH2: place.http2 ?? false,
    connect: {
      ...{ ca, cert, key },
      // the name is the certificate's, the address that of the test
      lookup: (_name, options, callback) => {
        const family = isIP(host)
        if (options.all === true) callback(null, [{ address: host, family }])
        else callback(null, host, family)
      },
    },
  })
  const url = new URL(`https://${place.name}:${port}/mcp`)
  const fetch = (init: RequestInit = {}, path = '/mcp') =>
    undiciFetch(new URL(path, url), { ...init, dispatcher })
  return {
    url,
    fetch,
    post: (message, headers = {}) =>
      fetch({
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          ...headers,
        },
        body: typeof message === 'string' ? message : JSON.stringify(message),
      }),
    dispatcher,
    close: () => dispatcher.destroy(),
  }
}

export interface McpClient {
  readonly client: Client
  readonly transport: StreamableHTTPClientTransport
  close(): Promise<void>
}

/** The official client, connected. */
export async function mcpClient(place: McpPlace): Promise<McpClient> {
  const bare = await mcpFetch(place)
  const transport = new StreamableHTTPClientTransport(bare.url, {
    fetch: async (input, init) =>
      Reflect.apply(undiciFetch, undefined, [input, { ...init, dispatcher: bare.dispatcher }]),
  })
  const client = new Client({ name: 'test', version: '1.0.0' })
  await client.connect(transport)
  return {
    client,
    transport,
    async close() {
      await client.close()
      await bare.close()
    },
  }
}
