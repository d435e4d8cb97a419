/**
 * Filters a peer's reflection: a caller sees only the methods that it may call. The two reflection methods pass through
 * a connection within the process, whose far side filters the answers; the forwarding path sees an ordinary session,
 * and other calls are not affected.
 */
import type { ClientHttp2Stream, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { MeshError } from '@clawmesh/proto'
import { type Callable, callableOf, type Pair } from '../../policy/decide/callable.ts'
import type { PolicySnapshot } from '../../policy/snapshot.ts'
import type { UpstreamSession } from '../upstream/session.ts'
import { filterStream } from './filter-stream.ts'
import { FilteredSession } from './filtered-session.ts'
import { createLinks } from './links.ts'

export interface ReflectionFilter {
  /** The session to the peer as this caller may see it. Streams opened on it are filtered. */
  through(session: UpstreamSession, pair: Pair): UpstreamSession
  close(): void
}

interface Pending {
  readonly session: UpstreamSession
  readonly headers: readonly string[]
  readonly pair: Pair
}

/** Each stream may hold an answer of 4 MiB. */
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

  /** The far side: forwards each stream of the near side to the peer. */
  function onStream(down: ServerHttp2Stream, received: IncomingHttpHeaders): void {
    // by name: the caller controls the other header values
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
      // the session to the peer has closed meanwhile: the same as a loss during the call
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
      // a call that ended before the far side saw it still holds its place
      if (pending.delete(ticket)) session.release()
      const left = (active.get(tenant) ?? 1) - 1
      if (left === 0) active.delete(tenant)
      else active.set(tenant, left)
    })
    return stream
  }

  return {
    through: (session, pair) =>
      new FilteredSession(session, (headers) => open(session, pair, headers)),
    close: () => links.close(),
  }
}

/** Pairs of caller and callee whose callable methods are cached. */
const MAX_PAIRS = 200

/** The callable methods under the current policy, cached by caller and callee until the policy changes. */
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

/** Removes the accepted encodings: the filter needs uncompressed answers. */
function withoutCompression(headers: readonly string[]): string[] {
  return headers.filter((_, i) => headers[i - (i % 2)] !== 'grpc-accept-encoding')
}
