/**
 * Reflection of a peer, through the gateway: shows only what the caller may call. The two reflection methods pass
 * through a connection within the process, on whose far side answers are filtered; to the forwarding path this is a
 * session like any other, and no other call comes near it.
 */
import type { ClientHttp2Stream, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { MeshError } from '@clawmesh/proto'
import { type Callable, callableOf, type Pair } from '../../policy/decide/callable.ts'
import type { PolicySnapshot } from '../../policy/snapshot.ts'
import type { UpstreamSession } from '../upstream/session.ts'
import { filterStream } from './filter-stream.ts'
import { createLinks } from './links.ts'

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

/** Each may hold an answer of 4 MiB. */
const MAX_STREAMS_PER_TENANT = 16
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
  const links = createLinks(onStream)
  const callables = createCallables(policy)
  let tickets = 0

  /** The far side: what was opened on the near one goes on to the peer. */
  function onStream(down: ServerHttp2Stream, received: IncomingHttpHeaders): void {
    // by its name: the values beside it are the caller's, who may write anything into them
    const ticket = String(received[TICKET])
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
      filterStream({ down, up, requestId, callable: () => callables.of(pair) })
    } catch {
      // the session to the peer went in between: as when it goes during the call
      down.destroy()
    }
  }

  function open(
    session: UpstreamSession,
    pair: Pair,
    headers: readonly string[],
  ): ClientHttp2Stream {
    const { tenant } = pair.caller
    const running = active.get(tenant) ?? 0
    tickets += 1
    const ticket = String(tickets)
    const sent = withoutCompression(headers)
    let stream: ClientHttp2Stream
    try {
      if (running >= MAX_STREAMS_PER_TENANT)
        throw new MeshError(
          'MESH_LIMIT_CONCURRENCY',
          `${MAX_STREAMS_PER_TENANT} reflection calls at once are allowed to a tenant`,
          { retryAfterMs: 1_000 },
        )
      stream = links.acquire(tenant).open([...sent, TICKET, ticket])
    } catch (cause) {
      session.release()
      throw cause
    }
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
      ...session,
      get active() {
        return session.active
      },
      get gone() {
        return session.gone
      },
      // its stream is one of this process; what became of the peer's is not to be told from it
      unprocessed: () => false,
      open: (headers) => open(session, pair, headers),
    }),
    close: () => links.close(),
  }
}

/** Pairs of caller and callee whose callable methods are remembered. */
const MAX_PAIRS = 200

/** What may be called by the policy of the moment, remembered by caller and callee until that changes. */
function createCallables(policy: { current(): PolicySnapshot }): { of(pair: Pair): Callable } {
  let of: PolicySnapshot | null = null
  const remembered = new Map<string, Callable>()
  return {
    of(pair) {
      const now = policy.current()
      if (of !== now || remembered.size >= MAX_PAIRS) remembered.clear()
      of = now
      const { caller, callee, withinChain } = pair
      const key = `${caller.tenant}/${caller.agent} ${callee.tenant}/${callee.agent} ${withinChain}`
      const callable = remembered.get(key) ?? callableOf(pair, now)
      remembered.set(key, callable)
      return callable
    },
  }
}

/** The peer is not told of encodings: what has to be read comes as it is. */
function withoutCompression(headers: readonly string[]): string[] {
  return headers.filter((_, i) => headers[i - (i % 2)] !== 'grpc-accept-encoding')
}
