/** `agent.fetch`: fetch as everybody knows it, through the gateway's egress port, under a token of its own or of a chain's. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { HEADER_REFUSAL, METADATA_TRACEPARENT, MeshError } from '@clawmesh/proto'
import type { RequestInit, Response } from 'undici'
import { spanOf } from '../client/trace.ts'
import type { EgressDispatcher } from './egress-dispatcher.ts'
import type { PortDialer } from './port-dialer.ts'
import { blamesToken, REFUSAL_BYTES, refusalInBody } from './refusal.ts'
import type { EgressToken, TokenSource } from './token-source.ts'

/**
 * As `fetch`, with strings and URLs. A `dispatcher` of the caller's own is refused: it would go past the gateway.
 * A header `traceparent` names the trace to continue, also for the gateway. Default: the trace of the task, or else a new one.
 * @throws MeshError when the gateway refuses: MESH_POLICY_NOT_ALLOWED, MESH_EGRESS_ADDRESS_REFUSED, MESH_TOKEN_DESTINATION …
 * @throws TypeError when there is no egress port, or as `fetch` does when the destination fails
 */
export type AgentFetch = (url: string | URL, init?: RequestInit) => Promise<Response>

export interface EgressClient {
  /** @param trace `traceparent` of the work that it is done for; a header of that name counts before it. Default: a new trace */
  fetch(url: string | URL, init?: RequestInit, trace?: string): Promise<Response>
  close(): Promise<void>
}

export interface EgressClientOptions {
  readonly proxy: URL
  readonly tokens: TokenSource
  /** Of destinations, PEM. Default: the public CAs. */
  readonly ca?: string
  /** For a port that speaks TLS. Default: it does not. */
  readonly dialer?: PortDialer | null
}

const CONNECT_TIMEOUT_MS = 30_000

export function createEgressClient({
  proxy,
  tokens,
  ca,
  dialer = null,
}: EgressClientOptions): EgressClient {
  // connections carry the token that opened them: a new token gets new ones
  let current: { readonly token: EgressToken; readonly dispatcher: EgressDispatcher } | null = null
  const retired = new Set<EgressDispatcher>()
  // undici hands nothing from fetch to the connection but headers, which for https the gateway does not see
  const traces = new AsyncLocalStorage<string>()
  let closed = false

  const dispatcherFor = (
    token: EgressToken,
    Dispatcher: typeof EgressDispatcher,
  ): EgressDispatcher => {
    if (current?.token.token === token.token) return current.dispatcher
    const old = current?.dispatcher
    if (old !== undefined) {
      retired.add(old)
      const forget = () => retired.delete(old)
      old.finish().then(forget, forget)
    }
    const dispatcher = new Dispatcher({
      proxy,
      token: token.token,
      timeoutMs: CONNECT_TIMEOUT_MS,
      dial: dialer === null ? null : () => dialer.dial(token.boundTo),
      traceparent: () => spanOf(traces.getStore()),
      ...(ca === undefined ? {} : { ca }),
    })
    current = { token, dispatcher }
    return dispatcher
  }
  const attempt = async (
    url: URL,
    init: RequestInit,
    trace: string,
    token: EgressToken,
  ): Promise<Response> => {
    // undici takes its time and its memory to load: who never fetches never pays for it
    const { fetch, EgressDispatcher: Dispatcher } = await import('./egress-dispatcher.ts')
    if (closed) throw new MeshError('MESH_CALL_CANCELED', 'the agent was closed')
    try {
      const dispatcher = dispatcherFor(token, Dispatcher)
      const response = await traces.run(trace, () => fetch(url, { ...init, dispatcher }))
      const refusal = await refusalOf(response)
      if (refusal === null) return response
      void response.body?.cancel().catch(() => {})
      throw refusal
    } catch (error) {
      throw unwrap(error)
    }
  }

  return {
    async fetch(target, init = {}, within) {
      if (closed) throw new MeshError('MESH_CALL_CANCELED', 'the agent was closed')
      if (init.dispatcher !== undefined && init.dispatcher !== null)
        throw new TypeError('dispatcher: agent.fetch goes through the gateway only')
      const url = new URL(target)
      if (url.protocol !== 'http:' && url.protocol !== 'https:')
        throw new TypeError('url: must be http or https')
      init.signal?.throwIfAborted()
      const named = init.headers === undefined ? null : await traceOf(init.headers)
      const trace = spanOf(named ?? within)
      const token = await tokens.get(trace)
      try {
        return await attempt(url, init, trace, token)
      } catch (error) {
        if (!(error instanceof MeshError) || !blamesToken(error)) throw error
        tokens.refuse(token)
        // refused before anything was sent on; a stream can be read only once all the same
        if (!canRepeat(init.body)) throw error
        init.signal?.throwIfAborted()
        return attempt(url, init, trace, await tokens.get(trace))
      }
    },
    async close() {
      closed = true
      const all = [...retired, ...(current === null ? [] : [current.dispatcher])]
      await Promise.all(all.map((dispatcher) => dispatcher.abort()))
    },
  }
}

/**
 * A response of the gateway itself rather than of the destination: marked by a header that the gateway lets no destination
 * send. Over https the answer comes from within the tunnel, where the gateway says nothing.
 */
async function refusalOf(response: Response): Promise<MeshError | null> {
  if (response.status < 400 || !response.url.startsWith('http:')) return null
  const { headers } = response
  const length = Number(headers.get('content-length') ?? Number.NaN)
  if (headers.get(HEADER_REFUSAL) === null || !(length <= REFUSAL_BYTES)) return null
  return refusalInBody(await response.clone().text(), headers.get('retry-after'))
}

/** What undici wraps into "fetch failed". */
function unwrap(error: unknown): unknown {
  const cause = error instanceof Error ? error.cause : undefined
  if (cause instanceof MeshError) return cause
  if (!(cause instanceof Error)) return error
  // all connections lead to the egress port
  if ('syscall' in cause && cause.syscall === 'connect')
    return new MeshError('MESH_GATEWAY_UNREACHABLE', 'the egress port cannot be reached', { cause })
  if (cause.message === 'Proxy Authentication Required (407)')
    return new MeshError('MESH_TOKEN_MISSING', undefined, { cause })
  return error
}

async function traceOf(headers: NonNullable<RequestInit['headers']>): Promise<string | null> {
  const { Headers } = await import('./egress-dispatcher.ts')
  return new Headers(headers).get(METADATA_TRACEPARENT)
}

function canRepeat(body: RequestInit['body']): boolean {
  return (
    body === undefined ||
    body === null ||
    typeof body === 'string' ||
    body instanceof URLSearchParams ||
    body instanceof ArrayBuffer ||
    ArrayBuffer.isView(body) ||
    body instanceof Blob
  )
}
