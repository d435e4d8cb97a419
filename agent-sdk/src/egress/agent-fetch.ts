/** `agent.fetch`: the standard fetch through the gateway's egress port, with a token of the agent or of a chain of delegation. */
import { AsyncLocalStorage } from 'node:async_hooks'
import {
  HEADER_REFUSAL,
  METADATA_TRACEPARENT,
  METADATA_TRACESTATE,
  MeshError,
  parseTraceparent,
} from '@clawmesh/proto'
import type { Headers, Response as UndiciResponse } from 'undici'
import { spanMethod } from '../trace/span.ts'
import type { SpanRecorder, Work } from '../trace/span-recorder.ts'
import { spanOf } from '../wire/trace.ts'
import type { EgressDispatcher } from './egress-dispatcher.ts'
import type { FetchInit, FetchInput } from './fetch-options.ts'
import type { FetchRequest } from './fetch-request.ts'
import type { PortDialer } from './port-dialer.ts'
import { unreachedPort } from './reach-port.ts'
import { blamesToken, REFUSAL_BYTES, refusalInBody } from './refusal.ts'
import type { EgressToken, TokenSource } from './token-source.ts'

/**
 * As `fetch`: it takes what fetch takes, and fits where a library takes a fetch (`new OpenAI({ fetch: agent.fetch })`). Options
 * that lead past the gateway (`dispatcher`, `agent`, `proxy` …) are refused, and so are misspelt ones. It waits for an answer as long
 * as the gateway does: only the signal ends it sooner.
 * A header `traceparent` names the trace to continue, also for the gateway, which opens tunnels of https for each such trace
 * separately. Default: the trace of the task, or else a new one; so too when the header is malformed (W3C Trace Context, section 4.3).
 *
 * @example
 * const response = await agent.fetch('https://api.example.com/items', { method: 'POST', body: '{}' })
 * console.log(response.status, await response.text())
 *
 * @throws MeshError when the gateway refuses: MESH_POLICY_NOT_ALLOWED, MESH_EGRESS_ADDRESS_REFUSED, MESH_TOKEN_DESTINATION …
 * @throws TypeError when there is no egress port, for such options, or as `fetch` does when the destination fails
 */
export type AgentFetch = typeof globalThis.fetch

/** What a fetch is made for. */
export interface FetchWithin {
  /** `traceparent` of the work; a header of that name counts before it. Default: a new trace */
  readonly trace?: string
  /** Ends it, as its own signal does. */
  readonly signal?: AbortSignal
}

export interface EgressClient {
  fetch(input: FetchInput, init?: FetchInit, within?: FetchWithin): Promise<Response>
  close(): Promise<void>
}

export interface EgressClientOptions {
  readonly proxy: URL
  readonly tokens: TokenSource
  /** Of destinations, PEM. Default: the public CAs. */
  readonly ca?: string
  /** For a port that speaks TLS. Default: it does not. */
  readonly dialer?: PortDialer | null
  /** Default: none are exported. */
  readonly spans?: SpanRecorder | null
}

const CONNECT_TIMEOUT_MS = 30_000

export function createEgressClient(options: EgressClientOptions): EgressClient {
  return new FetchThroughPort(options)
}

interface Current {
  readonly token: EgressToken
  readonly dispatcher: EgressDispatcher
}

class FetchThroughPort implements EgressClient {
  readonly #options: EgressClientOptions
  /** Connections carry the token that opened them: a new token gets new ones. */
  #current: Current | null = null
  readonly #retired = new Set<EgressDispatcher>()
  /** undici hands nothing from fetch to the connection but headers, which for https the gateway does not see. */
  readonly #traces = new AsyncLocalStorage<FetchTrace>()
  #closed = false

  constructor(options: EgressClientOptions) {
    this.#options = options
  }

  async fetch(input: FetchInput, given?: FetchInit, within: FetchWithin = {}): Promise<Response> {
    if (this.#closed) throw new MeshError('MESH_CALL_CANCELED', 'the agent was closed')
    within.signal?.throwIfAborted()
    const { Headers, readFetchRequest } = await loaded()
    const asked = await readFetchRequest(input, given)
    const headers = new Headers(asked.init.headers)
    const trace = traceOf(headers.get(METADATA_TRACEPARENT) ?? undefined, within.trace)
    const request = withoutTrace(asked, headers, trace)
    const signal = either(request.signal, within.signal)
    const { spans = null } = this.#options
    if (spans === null) return this.#send(request, signal, trace)
    const end = spans.begin(workOf(request, trace))
    try {
      const response = await this.#send(request, signal, trace)
      end(response.status < 500 ? null : String(response.status))
      return response
    } catch (error) {
      end(error)
      throw error
    }
  }

  /** Once more with a new token, when the token is to blame. */
  async #send(
    request: FetchRequest,
    signal: AbortSignal | null,
    trace: FetchTrace,
  ): Promise<Response> {
    const { tokens } = this.#options
    const token = await tokens.get(trace.span)
    try {
      return await this.#attempt(request, signal, trace, token)
    } catch (error) {
      if (!(error instanceof MeshError) || !blamesToken(error.code)) throw error
      tokens.refuse(token)
      // refused before anything was sent on; a stream can be read only once all the same
      if (!request.repeatable) throw error
      signal?.throwIfAborted()
      return this.#attempt(request, signal, trace, await tokens.get(trace.span))
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    const current = this.#current
    const all = [...this.#retired, ...(current === null ? [] : [current.dispatcher])]
    await Promise.all(all.map((dispatcher) => dispatcher.abort()))
  }

  async #attempt(
    { url, init }: FetchRequest,
    signal: AbortSignal | null,
    trace: FetchTrace,
    token: EgressToken,
  ): Promise<Response> {
    const undici = await loaded()
    if (this.#closed) throw new MeshError('MESH_CALL_CANCELED', 'the agent was closed')
    try {
      const dispatcher = this.#dispatcherFor(token, undici.EgressDispatcher)
      const response = await this.#traces.run(trace, () =>
        undici.fetch(url, { ...init, signal, dispatcher }),
      )
      const refusal = await refusalOf(response)
      if (refusal === null) return undici.globalResponse(response)
      void response.body?.cancel().catch(() => {})
      throw refusal
    } catch (error) {
      throw unwrap(error)
    }
  }

  #dispatcherFor(token: EgressToken, Dispatcher: typeof EgressDispatcher): EgressDispatcher {
    const current = this.#current
    if (current?.token.token === token.token) return current.dispatcher
    if (current !== null) this.#retire(current.dispatcher)
    const { proxy, ca, dialer = null } = this.#options
    const dispatcher = new Dispatcher({
      proxy,
      token: token.token,
      timeoutMs: CONNECT_TIMEOUT_MS,
      dial: dialer === null ? null : () => dialer.dial(token.boundTo),
      // the span of the fetch: what the gateway does for it is within
      traceparent: () => this.#traces.getStore()?.span ?? spanOf(null),
      traceId: () => this.#traces.getStore()?.named ?? null,
      ...(ca === undefined ? {} : { ca }),
    })
    this.#current = { token, dispatcher }
    return dispatcher
  }

  /** Its requests end on their connections, which then close. */
  #retire(dispatcher: EgressDispatcher): void {
    this.#retired.add(dispatcher)
    const forget = () => this.#retired.delete(dispatcher)
    dispatcher.finish().then(forget, forget)
  }
}

/** The trace of one fetch. */
interface FetchTrace {
  /** A traceparent: the span of this fetch. */
  readonly span: string
  /** The traceparent that it continues; null: the trace begins with the fetch. */
  readonly parent: string | null
  /** The id of a trace that was named; null of one that begins with the fetch, which may share tunnels with others. */
  readonly named: string | null
  /** What the headers say of the trace is good, so that their tracestate belongs to it. */
  readonly byHeader: boolean
}

function traceOf(header: string | undefined, ofTask: string | undefined): FetchTrace {
  const byHeader = parseTraceparent(header)
  const parent = byHeader ?? parseTraceparent(ofTask)
  const continued = byHeader === null ? ofTask : header
  const span = spanOf(continued)
  return {
    span,
    parent: continued ?? null,
    named: parent?.traceId ?? null,
    byHeader: byHeader !== null,
  }
}

/** Without the path, which may hold anything. */
function workOf({ url, init }: FetchRequest, { span, parent }: FetchTrace): Work {
  // fetch takes `post` for POST
  const method = spanMethod((init.method ?? 'GET').toUpperCase())
  return {
    ...{ span, parent, name: `fetch ${method.name}`, kind: 'client' },
    attributes: {
      ...method.attributes,
      'url.scheme': url.protocol.slice(0, -1),
      'server.address': url.hostname,
      'server.port': url.port === '' ? null : Number(url.port),
    },
  }
}

/** Over http the gateway reads the headers: there the span of the fetch takes the place of what they say. */
function withoutTrace(request: FetchRequest, headers: Headers, trace: FetchTrace): FetchRequest {
  const { url, init } = request
  if (
    url.protocol !== 'http:' ||
    !(headers.has(METADATA_TRACEPARENT) || headers.has(METADATA_TRACESTATE))
  )
    return request
  headers.delete(METADATA_TRACEPARENT)
  if (!trace.byHeader) headers.delete(METADATA_TRACESTATE)
  return { ...request, init: { ...init, headers } }
}

/** undici takes its time and its memory to load: an agent that never fetches never pays for it. */
function loaded() {
  return import('./undici.ts')
}

/**
 * A response of the gateway itself rather than of the destination: marked by a header that the gateway lets no destination
 * send. Over https the answer comes from within the tunnel, where the gateway says nothing.
 */
async function refusalOf(response: UndiciResponse): Promise<MeshError | null> {
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
  if ('syscall' in cause && cause.syscall === 'connect') return unreachedPort(cause)
  if (cause.message === 'Proxy Authentication Required (407)')
    return new MeshError('MESH_TOKEN_MISSING', undefined, { cause })
  return error
}

function either(one: AbortSignal | null, other: AbortSignal | undefined): AbortSignal | null {
  if (one === null || other === undefined) return one ?? other ?? null
  return AbortSignal.any([one, other])
}
