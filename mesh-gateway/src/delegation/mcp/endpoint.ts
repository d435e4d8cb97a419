/**
 * The MCP endpoint of the delegation port (Model Context Protocol, streamable HTTP): an agent's certificate opens it, and
 * a call of a tool becomes a call of that agent, through the same checks as a call over gRPC. It keeps no state but the
 * requests that run.
 */
import type { IdentityStore, Log } from '@clawmesh/agent-sdk/mesh'
import { type AgentIdentity, MeshError } from '@clawmesh/proto'
import type { GuardLimits } from '../../config/guard-limits.ts'
import { createLimits } from '../../limits/create-limits.ts'
import type { Serving } from '../../process/watch-memory.ts'
import type { RevocationJudge } from '../../revocation/judge.ts'
import { asMeshError } from '../carry/status-of.ts'
import { type Client, judgeClient } from '../client/authenticate.ts'
import { checkHeaderSize } from '../client/check-header-size.ts'
import { createOpenCalls } from '../client/open-calls.ts'
import { checkRefusals, countRefusal, type RefusalBudgets } from '../count-refusals.ts'
import type { RouteNames } from '../route.ts'
import type { CallHandler, ClosedFor } from '../serve-call.ts'
import { type Answer, createEventStream, createJsonAnswer } from './answer.ts'
import type { Asked, CallToolOptions } from './call-tool.ts'
import { Exchange, type ExchangeOptions } from './exchange.ts'
import { type HttpRequest, type HttpResponse, headerOf, headersOf, mediaTypeOf } from './http.ts'
import { createInnerConnections } from './inner-connections.ts'
import { type Message, readMessages } from './messages.ts'
import { checkOrigin } from './origin.ts'
import { createBodies } from './read-body.ts'
import { asksRevision, endsOrAsks, notified, serveMessage } from './requests.ts'
import { type CancelRelay, createRunningRequests } from './running-requests.ts'
import { createSessionIds, type SessionIds } from './session-id.ts'
import { isVersion } from './versions.ts'

export interface McpEndpointOptions extends ExchangeOptions {
  readonly identity: IdentityStore
  readonly revocations: RevocationJudge
  readonly refusals: RefusalBudgets
  readonly meshDomain: string
  readonly names: () => RouteNames
  readonly guardLimits: GuardLimits
  /** The keys of session ids, the newest first. */
  readonly sessionKeys: () => readonly Buffer[]
  /** Null for a gateway of one process. */
  readonly cancels: CancelRelay | null
  readonly calls: Pick<CallHandler, 'handle'>
  readonly closedFor: ClosedFor
  readonly serving: Serving
  readonly log: Log
}

export interface McpEndpoint {
  /** Serves a request whose path is that of the endpoint. */
  serve(request: HttpRequest, response: HttpResponse, client: Client): void
  /** Answers what still waits: the tasks go on. */
  release(): void
  close(): void
}

interface LetIn {
  readonly caller: AgentIdentity
  /** Why nothing but what frees memory is served to it; null while all is served. */
  readonly closed: MeshError | null
}

/** The path of the endpoint. Clients and load balancers add the slash. */
const MCP_PATH = /^\/mcp\/?(?:\?|$)/

/** @param path as in the request, with its query */
export function isMcpPath(path: string | undefined): boolean {
  return path !== undefined && MCP_PATH.test(path)
}

export function createMcpEndpoint(options: McpEndpointOptions): McpEndpoint {
  const { guardLimits, refusals, meshDomain, log } = options
  const inner = createInnerConnections(options.calls.handle)
  const running = createRunningRequests(options.cancels)
  const sessions = createSessionIds(options.sessionKeys)
  const calling = { meshDomain, log, inner, running }
  const gate = createGate(options)
  const bodies = createBodies({
    maxBytes: guardLimits.mcpBodyBytes,
    maxTotalBytes: guardLimits.mcpBufferedBytes,
    timeoutMs: guardLimits.handshakeMs,
  })

  async function serve(exchange: Exchange): Promise<void> {
    const { request, client } = exchange
    const { caller, closed } = gate(exchange)
    // clients try GET for a stream of the server's own, and DELETE at their end: MCP allows this answer, and it refuses
    // nothing
    if (request.method !== 'POST') {
      exchange.respond(new MeshError('MESH_MCP_METHOD'))
      return
    }
    checkContent(request)
    const messages = readMessages(await bodies.read(request, client.meter))
    if (messages === null) throw invalid('the body is no JSON-RPC message')
    const begins = messages.every(asksRevision)
    if (!begins) checkRevision(request)
    // clients begin anew with the id of the session that has ended
    const session = begins ? '' : sessionOf(request, caller, sessions)
    if (closed !== null && !messages.every(endsOrAsks)) throw closed
    await answer(messages, { exchange, caller, session }, { ...calling, sessions })
  }

  return {
    serve(request, response, client) {
      const exchange = new Exchange(request, response, client, options)
      serve(exchange).catch((cause: unknown) => {
        const error = asMeshError(cause)
        countRefusal(refusals, client, error)
        if (error.code === 'MESH_GATEWAY_INTERNAL')
          log.error({ request_id: exchange.requestId, err: error.cause }, 'a request of MCP failed')
        exchange.refuse(error)
      })
    },
    release: () => running.release(),
    close() {
      running.close()
      inner.close()
    },
  }
}

/** @throws MeshError MESH_MCP_SESSION for an id of another agent, or of no gateway with these keys */
function sessionOf(request: HttpRequest, caller: AgentIdentity, sessions: SessionIds): string {
  const id = headerOf(request, 'mcp-session-id')
  if (id !== null && !sessions.isOf(id, caller.id)) throw new MeshError('MESH_MCP_SESSION')
  return id ?? ''
}

/** Answers the messages of one body. */
async function answer(
  messages: readonly Message[],
  from: Omit<Asked, 'answer'>,
  { sessions, ...calling }: CallToolOptions & { readonly sessions: SessionIds },
): Promise<void> {
  const { exchange, caller, session } = from
  const asking = messages.filter(({ kind }) => kind === 'request' || kind === 'invalid')
  for (const message of messages)
    if (message.kind === 'notification') notified(message, session, calling)
  if (asking.length === 0) {
    exchange.accept(202)
    return
  }
  const begins = messages.some((one) => one.kind === 'request' && one.method === 'initialize')
  const headers = {
    ...exchange.headers,
    ...(begins ? { 'mcp-session-id': sessions.create(caller.id) } : {}),
  }
  const answered = openAnswer(exchange.request, exchange.response, headers, asking)
  const asked = { ...from, answer: answered }
  await Promise.all(asking.map((message) => serveMessage(message, asked, calling)))
  answered.end()
}

/**
 * The checks before a byte of the body is read: certificate, revocation, limits, headers. Holds a place under the limits
 * until the response has ended.
 * @throws MeshError
 */
function createGate(options: McpEndpointOptions): (exchange: Exchange) => LetIn {
  const { identity, revocations, refusals, closedFor, names, guardLimits, serving } = options
  const open = createOpenCalls({
    limits: {
      maxCalls: guardLimits.maxMcpRequests,
      maxCallsPerTenant: guardLimits.maxMcpRequests,
      maxCallsPerAgent: guardLimits.maxMcpRequestsPerAgent,
    },
    policyLimit: () => null,
    serving,
  })
  const rates = createLimits()
  const perMinute = guardLimits.ownCallsPerMinute

  return ({ request, response, client }) => {
    checkRefusals(refusals, client)
    const certificate = judgeClient(client, identity.current(), Date.now(), revocations)
    const caller = certificate.identity
    if (caller.kind !== 'agent') throw new MeshError('MESH_IDENTITY_NOT_AGENT')
    const closed = closedFor(false)
    if (closed !== null && (closedFor(true) !== null || !isShortPost(request))) throw closed
    const retryAfterMs = rates.take(caller.id, perMinute, Math.ceil(perMinute / 10))
    if (retryAfterMs !== null) throw new MeshError('MESH_RATE_LIMITED', undefined, { retryAfterMs })
    response.on('close', open.enter(caller))
    checkHeaderSize(request.rawHeaders, guardLimits)
    checkOrigin(headerOf(request, 'origin'), names().own)
    return { caller, closed }
  }
}

/** A body of which so little is read also while memory is short: a cancel has no more. */
const SHORT_BYTES = 4096

function isShortPost(request: HttpRequest): boolean {
  const length = headerOf(request, 'content-length')
  return request.method === 'POST' && length !== null && Number(length) <= SHORT_BYTES
}

/** @throws MeshError MESH_MCP_REQUEST */
function checkContent(request: HttpRequest): void {
  if (mediaTypeOf(headerOf(request, 'content-type') ?? '') !== 'application/json')
    throw invalid('the content type must be application/json')
}

/**
 * Not for the messages that ask which revision to speak: there the header is what the client would like.
 * @throws MeshError MESH_MCP_REQUEST
 */
function checkRevision(request: HttpRequest): void {
  const version = headerOf(request, 'mcp-protocol-version')
  if (version !== null && !isVersion(version)) throw invalid('this revision of MCP is not served')
}

/** A stream where a tool is called and the client takes one; the rest is answered at once. */
function openAnswer(
  request: HttpRequest,
  response: HttpResponse,
  headers: Readonly<Record<string, string>>,
  asking: readonly Message[],
): Answer {
  const accept = headersOf(request, 'accept').join(',').split(',').map(mediaTypeOf)
  const lasts = asking.some((one) => one.kind === 'request' && one.method === 'tools/call')
  if ((lasts || asking.length > 1) && accept.includes('text/event-stream'))
    return createEventStream(response, headers)
  return createJsonAnswer(response, headers, asking.length > 1)
}

function invalid(message: string): MeshError {
  return new MeshError('MESH_MCP_REQUEST', message)
}
