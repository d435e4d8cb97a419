/**
 * Reflection of a peer, through the gateway: shows only what the caller may call. The two reflection methods pass
 * through a connection within the process, on whose far side answers are filtered; to the forwarding path this is a
 * session like any other, and no other call comes near it.
 */
import {
  type ClientHttp2Session,
  connect,
  performServerHandshake,
  type ServerHttp2Session,
} from 'node:http2'
import { duplexPair } from 'node:stream'
import { MeshError } from '@clawmesh/proto'
import { callableOf, type Pair } from '../../policy/callable.ts'
import type { PolicySnapshot } from '../../policy/snapshot.ts'
import type { UpstreamSession } from '../upstream/session.ts'
import { filterStream } from './filter-stream.ts'

export interface ReflectionFilter {
  /** The session to the peer as this caller is to see it. Streams opened on it are filtered. */
  through(session: UpstreamSession, pair: Pair): UpstreamSession
  close(): void
}

interface Pending {
  readonly session: UpstreamSession
  readonly headers: readonly string[]
  readonly pair: Pair
}

interface Link {
  readonly near: ClientHttp2Session
  readonly far: ServerHttp2Session
}

/** Each may hold an answer of 4 MiB. */
const MAX_STREAMS_PER_TENANT = 16
const UNLIMITED_RESETS = { streamResetBurst: 2 ** 31, streamResetRate: 2 ** 31 }
const TICKET = 'x-mesh-reflection'
const METHODS: ReadonlySet<string> = new Set(
  ['v1', 'v1alpha'].map(
    (version) => `grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
  ),
)

/** @param method `package.Service/Method` */
export function isReflection(method: string): boolean {
  return METHODS.has(method)
}

export function createReflectionFilter(policy: { current(): PolicySnapshot }): ReflectionFilter {
  const pending = new Map<string, Pending>()
  const active = new Map<string, number>()
  let link: Link | null = null
  let tickets = 0

  /** Made when it is first needed: most gateways are never asked. */
  function linked(): Link {
    if (link !== null && !link.near.closed && !link.near.destroyed) return link
    const [nearEnd, farEnd] = duplexPair()
    // both ends are ours: cancelled calls of one tenant must not end it for the others
    const far = performServerHandshake(farEnd, UNLIMITED_RESETS)
    far.on('error', () => {})
    far.on('stream', (down, _headers, _flags, rawHeaders) => {
      const raw: readonly string[] = rawHeaders
      const ticket = raw[raw.indexOf(TICKET) + 1] ?? ''
      const call = pending.get(ticket)
      pending.delete(ticket)
      if (call === undefined) {
        down.destroy()
        return
      }
      const { session, headers, pair } = call
      const requestId = headers[headers.indexOf('x-request-id') + 1] ?? ''
      try {
        const up = session.open(headers)
        filterStream({ down, up, requestId, callable: () => callableOf(pair, policy.current()) })
      } catch {
        // the session to the peer went in between: as when it goes during the call
        down.destroy()
      }
    })
    const near = connect('http://reflection', { createConnection: () => nearEnd })
    near.on('error', () => {})
    near.unref()
    link = { near, far }
    return link
  }

  function open(session: UpstreamSession, pair: Pair, headers: readonly string[]) {
    const { tenant } = pair.caller
    const running = active.get(tenant) ?? 0
    if (running >= MAX_STREAMS_PER_TENANT) {
      session.release()
      throw new MeshError(
        'MESH_LIMIT_CONCURRENCY',
        `${MAX_STREAMS_PER_TENANT} reflection calls at once are allowed to a tenant`,
        { retryAfterMs: 1_000 },
      )
    }
    tickets += 1
    const ticket = String(tickets)
    const sent = withoutCompression(headers)
    const stream = linked().near.request([...sent, TICKET, ticket], { endStream: false })
    pending.set(ticket, { session, headers: sent, pair })
    active.set(tenant, running + 1)
    stream.once('close', () => {
      // one that ended before the far side saw it still holds its place
      if (pending.delete(ticket)) session.release()
      const left = (active.get(tenant) ?? 1) - 1
      if (left === 0) active.delete(tenant)
      else active.set(tenant, left)
    })
    return stream
  }

  return {
    through: (session, pair) => ({
      ...facts(session),
      open: (headers) => open(session, pair, headers),
    }),
    close() {
      link?.near.destroy()
      link?.far.destroy()
    },
  }
}

function facts(session: UpstreamSession): Omit<UpstreamSession, 'open'> {
  return {
    peerId: session.peerId,
    certificate: session.certificate,
    ip: session.ip,
    port: session.port,
    get active() {
      return session.active
    },
    get gone() {
      return session.gone
    },
    // its stream is one of this process; what became of the peer's is not to be told from it
    unprocessed: () => false,
    reserve: () => session.reserve(),
    release: () => session.release(),
    retire: () => session.retire(),
    destroy: () => session.destroy(),
  }
}

/** The peer is not told of encodings: what has to be read comes as it is. */
function withoutCompression(headers: readonly string[]): string[] {
  return headers.filter((_, i) => headers[i - (i % 2)] !== 'grpc-accept-encoding')
}
