/**
 * The egress port's own endpoints: health, readiness, the keys that verify its tokens, and tokens for service accounts.
 */
import { type EgressClaims, MeshError } from '@clawmesh/proto'
import type { RefusalBudgets } from '../../limits/refusal-budget.ts'
import { JWKS_MAX_AGE_MS } from '../../tokens/key-ring-file.ts'
import type { RevokeToken } from '../../tokens/revoke-token.ts'
import type { BufferedSocket } from '../carry/buffered-socket.ts'
import { checkAddress, countUnknown } from '../count-refusals.ts'
import { single } from '../http1/head.ts'
import type { RequestHead } from '../http1/request-head.ts'
import { type KeepingContext, keptAfter } from '../kept-after.ts'
import { type RecordContext, type RequestRecord, writeRecord } from '../record.ts'
import { Refused, refuse } from '../refused.ts'
import { asciiJson, formatAnswer, formatRefusal } from '../respond.ts'
import { readBody } from './read-body.ts'
import { parseRevokeRequest } from './revoke-request.ts'
import { type IssueForAccountKey, parseTokenRequest } from './token-request.ts'

/** What the endpoints use. */
export interface OwnContext extends RecordContext, KeepingContext {
  readonly refusals: Pick<RefusalBudgets, 'sources'>
  /** Null: there are no service accounts. */
  readonly issueForAccountKey: IssueForAccountKey | null
  /** Null: nothing can be revoked here. */
  readonly revokeToken: RevokeToken | null
  jwks(): object
  isReady(): boolean
}

interface Answer {
  readonly status: number
  readonly body: object
  readonly headers: Readonly<Record<string, string>>
  readonly contentType?: string
}

/** An answer about a token, which the audit log names. */
interface AboutToken {
  readonly answer: Answer | Refused
  readonly claims: EgressClaims | null
}

const MAX_BODY_BYTES = 16_384
const BODY_MS = 10_000
/** The endpoints whose answers are recorded. */
const TOKEN_PATHS: ReadonlySet<string> = new Set(['/v1/token', '/v1/token/revoke'])
const NO_STORE = Object.freeze({ 'cache-control': 'no-store' })
/** A key is published for longer than this before it signs, and a rotation overlaps for longer. */
const JWKS_CACHE = Object.freeze({
  'cache-control': `public, max-age=${JWKS_MAX_AGE_MS / 1000}`,
})

/** True when the connection can carry another request. */
export async function serveOwn(
  head: RequestHead,
  client: BufferedSocket,
  record: RequestRecord,
  context: OwnContext,
): Promise<boolean> {
  const path = head.target.split('?', 1)[0] ?? ''
  const served = await route(path, head, client, record, context)
  const { answer, claims } = 'answer' in served ? served : { answer: served, claims: null }
  const ofTokens = TOKEN_PATHS.has(path)
  const consumed = head.body === 0 || (ofTokens && !(answer instanceof Refused))
  const kept = consumed ? keptAfter(head, record, context) : null
  const status = answer instanceof Refused ? answer.error.row.http : answer.status
  if (ofTokens) {
    const refused = answer instanceof Refused ? answer : null
    const outcome = { status, refused, ip: null, bytesUp: 0, bytesDown: 0 }
    writeRecord({ ...record, ownPath: path, claims }, null, null, outcome, context)
  }
  if (client.closed) return false
  client.writeText(format(answer, head, record, kept))
  if (kept === null) client.closeGently()
  return kept !== null
}

async function route(
  path: string,
  head: RequestHead,
  client: BufferedSocket,
  record: RequestRecord,
  context: OwnContext,
): Promise<Answer | Refused | AboutToken> {
  const reading = head.method === 'GET' || head.method === 'HEAD'
  switch (path) {
    case '/health':
      return reading ? { status: 200, body: { status: 'up' }, headers: NO_STORE } : onlyGet()
    case '/ready': {
      if (!reading) return onlyGet()
      const ready = context.isReady() && !context.draining()
      const status = context.draining() ? 'draining' : ready ? 'ready' : 'not ready'
      return { status: ready ? 200 : 503, body: { status }, headers: NO_STORE }
    }
    case '/.well-known/jwks.json':
      if (!reading) return onlyGet()
      return {
        status: 200,
        body: context.jwks(),
        headers: JWKS_CACHE,
        contentType: 'application/jwk-set+json',
      }
    case '/v1/token':
      if (head.method !== 'POST')
        return refuse('gateway', 'MESH_EGRESS_METHOD', { facts: { allow: 'POST' } })
      return await bounded(
        () => issueToken(head, client, context.issueForAccountKey),
        record,
        context,
      )
    case '/v1/token/revoke':
      if (head.method !== 'POST')
        return refuse('gateway', 'MESH_EGRESS_METHOD', { facts: { allow: 'POST' } })
      return await bounded(() => revokeToken(head, client, context.revokeToken), record, context)
    default:
      return refuse('gateway', 'MESH_EGRESS_NOT_FOUND')
  }
}

/** Counts bad keys and tokens against their address. */
async function bounded<T extends Answer | AboutToken>(
  serve: () => Promise<T | Refused>,
  { client }: RequestRecord,
  { refusals }: Pick<OwnContext, 'refusals'>,
): Promise<T | Refused> {
  const limited = checkAddress(client, refusals)
  if (limited !== null) return limited
  const served = await serve()
  const { answer, claims } = 'answer' in served ? served : { answer: served, claims: undefined }
  const bad = answer instanceof Refused ? !answer.error.row.retryable : claims === null
  // as for requests: an earlier good token does not excuse later bad ones
  if (bad) client.setAuthenticated(false)
  if (answer instanceof Refused) countUnknown(answer, client, refusals)
  // an invalid token: the answer must not show it (RFC 7009), but its verification is counted
  else if (bad) refusals.sources.spend(client.source)
  return served
}

async function issueToken(
  head: RequestHead,
  client: BufferedSocket,
  issueForAccountKey: IssueForAccountKey | null,
): Promise<Answer | Refused> {
  if (issueForAccountKey === null)
    return refuse('gateway', 'MESH_EGRESS_NOT_FOUND', {
      hint: 'the gateway has no service accounts: set serviceAccounts.file',
    })
  const body = await readBody(client, {
    length: head.body,
    maxBytes: MAX_BODY_BYTES,
    timeoutMs: BODY_MS,
    expectContinue: head.expectContinue,
  })
  if (body instanceof Refused) return body
  const parsed = parseTokenRequest(single(head.fields, 'authorization'), body)
  if (parsed instanceof Refused) return parsed
  try {
    const { token, claims } = await issueForAccountKey(parsed.key, parsed.request)
    return {
      status: 200,
      headers: { ...NO_STORE, pragma: 'no-cache' },
      body: {
        access_token: token.reveal(),
        token_type: 'Bearer',
        expires_in: Math.max(0, claims.exp - Math.floor(Date.now() / 1000)),
        agent_id: claims.agent_id,
        tenant: claims.tenant,
        allowed_destinations: claims.allowed_destinations,
      },
    }
  } catch (error) {
    if (error instanceof MeshError) return new Refused('credential', error)
    return refuse('credential', 'MESH_GATEWAY_INTERNAL', { cause: error })
  }
}

async function revokeToken(
  head: RequestHead,
  client: BufferedSocket,
  revoke: RevokeToken | null,
): Promise<Answer | Refused | AboutToken> {
  if (revoke === null)
    return refuse('gateway', 'MESH_EGRESS_NOT_FOUND', {
      hint: 'the gateway has no list of revocations: set revocation.list',
    })
  const body = await readBody(client, {
    length: head.body,
    maxBytes: MAX_BODY_BYTES,
    timeoutMs: BODY_MS,
    expectContinue: head.expectContinue,
  })
  if (body instanceof Refused) return body
  const of = (name: string) => single(head.fields, name)
  const parsed = parseRevokeRequest(of('authorization'), of('content-type'), body)
  if (parsed instanceof Refused) return parsed
  try {
    const { claims, refused } = await revoke(parsed.token, parsed.key)
    const done = { status: 200, headers: NO_STORE, body: {} }
    return { claims, answer: refused === null ? done : new Refused('credential', refused) }
  } catch (error) {
    return refuse('credential', 'MESH_GATEWAY_INTERNAL', { cause: error })
  }
}

function format(
  answer: Answer | Refused,
  head: RequestHead,
  record: RequestRecord,
  kept: number | null,
): string {
  const { requestId } = record
  if (answer instanceof Refused)
    return formatRefusal(answer, { requestId, method: head.method, keptMs: kept })
  const { status, body, headers, contentType = 'application/json' } = answer
  return formatAnswer({
    status,
    body: `${asciiJson(body)}\n`,
    contentType,
    headers: { ...headers, 'x-request-id': requestId },
    keptMs: kept,
    headOnly: head.method === 'HEAD',
  })
}

function onlyGet(): Refused {
  return refuse('gateway', 'MESH_EGRESS_METHOD', { facts: { allow: 'GET, HEAD' } })
}
