/**
 * Connections within the process on which the MCP endpoint makes calls in the name of its clients. A call goes through
 * the handler of the delegation port, as if it had come on the client's own connection. Each tenant has a connection of
 * its own.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  performServerHandshake,
} from 'node:http2'
import { duplexPair } from 'node:stream'
import { MeshError } from '@clawmesh/proto'
import { MAX_METADATA_BYTES } from '../carry/peer-response.ts'
import { CONNECTION_WINDOW_BYTES, WINDOW_BYTES } from '../carry/windows.ts'
import type { Client } from '../client/authenticate.ts'
import { trimmedFields } from '../field-values.ts'
import type { CallHandler } from '../serve-call.ts'
import { createMessagePace, type MessagePace } from './message-pace.ts'

export interface InnerConnections {
  /** @param headers of the request, names and values in turn. @throws MeshError MESH_GATEWAY_DRAINING once it is closed */
  open(client: Client, headers: readonly string[]): ClientHttp2Stream
  /** How many calls are open. */
  readonly underWay: number
  /** Of what callees answer to the calls. */
  readonly pace: MessagePace
  close(): void
}

/** Names the client of a call on its way through the connection. */
const CLIENT = 'x-mesh-mcp-client'
/** A connection without calls is closed after this, in milliseconds. */
const IDLE_MS = 60_000
/**
 * There is no way to travel, so a small window costs no time. What a callee sends beyond it waits where carry/backlog.ts
 * counts it.
 */
const ANSWER_WINDOW_BYTES = 65_536
const NO_LIMIT = 2 ** 31 - 1
const SESSION_MEMORY_MB = 256

export function createInnerConnections(handle: CallHandler['handle']): InnerConnections {
  const sessions = new Map<string, ClientHttp2Session>()
  /** The clients of calls that are on their way. */
  const clients = new Map<string, Client>()
  let calls = 0
  let closed = false

  function sessionOf(tenant: string): ClientHttp2Session {
    const known = sessions.get(tenant)
    if (known !== undefined && !known.closed && !known.destroyed) return known
    const session = openSession(handle, clients)
    sessions.set(tenant, session)
    session.once('close', () => {
      if (sessions.get(tenant) === session) sessions.delete(tenant)
    })
    return session
  }

  return {
    pace: createMessagePace(),
    open(client, headers) {
      if (closed) throw new MeshError('MESH_GATEWAY_DRAINING')
      const identity = client.peer?.identity
      const session = sessionOf(identity?.kind === 'agent' ? identity.tenant : '')
      calls += 1
      const number = String(calls)
      const stream = session.request([...headers, CLIENT, number], { endStream: false })
      // after a request that was refused there is nobody to remember; the other end gets this one in a later turn
      clients.set(number, client)
      stream.once('close', () => clients.delete(number))
      return stream
    },
    get underWay() {
      return clients.size
    },
    close() {
      closed = true
      for (const session of sessions.values()) session.destroy()
    },
  }
}

/** Both ends of one connection. Returns the end that makes calls. */
function openSession(
  handle: CallHandler['handle'],
  clients: Map<string, Client>,
): ClientHttp2Session {
  const [near, far] = duplexPair()
  const server = performServerHandshake(far, {
    maxHeaderListPairs: 1_000,
    maxSendHeaderBlockLength: MAX_METADATA_BYTES * 2,
    maxSessionMemory: SESSION_MEMORY_MB,
    // the calls are counted before they come here
    streamResetBurst: NO_LIMIT,
    streamResetRate: NO_LIMIT,
    settings: { initialWindowSize: WINDOW_BYTES, enablePush: false },
  })
  server.on('error', () => {})
  server.setLocalWindowSize(CONNECTION_WINDOW_BYTES)
  server.on('stream', (stream, _headers, _flags, raw: readonly string[]) => {
    const headers = trimmedFields(raw)
    // the last one, after all that the client may have chosen
    const [name, number = ''] = headers.slice(-2)
    const client = name === CLIENT ? clients.get(number) : undefined
    if (client === undefined) stream.close()
    else handle(stream, headers.slice(0, -2), client)
  })
  const session = connect('https://gateway', {
    createConnection: () => near,
    maxHeaderListPairs: 1_000,
    maxSessionMemory: SESSION_MEMORY_MB,
    settings: { initialWindowSize: ANSWER_WINDOW_BYTES, enablePush: false },
  })
  session.on('error', () => {})
  session.setTimeout(IDLE_MS, () => session.close())
  session.once('connect', () => session.setLocalWindowSize(CONNECTION_WINDOW_BYTES))
  session.once('close', () => server.destroy())
  return session
}
