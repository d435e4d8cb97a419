/** The gateway's own responses. A refusal explains itself in the body, and for CONNECT in the status line too. */
import { HEADER_REFUSAL } from '@clawmesh/proto'
import { connectionFields } from './http1/connection-fields.ts'
import type { Refused } from './refused.ts'

// an import would load undici: docs/discoveries/an-import-of-node-http-loads-undici.md
const { STATUS_CODES } = process.getBuiltinModule('node:http')

export interface AnswerOptions {
  readonly status: number
  /** Latin1: one byte per character. */
  readonly body: string
  readonly contentType?: string
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  /** Replaces the usual reason phrase; unsafe characters are removed here. */
  readonly reason?: string
  /** How long the client's connection is kept after it, in milliseconds; null: it is closed. */
  readonly keptMs: number | null
  /** An answer to HEAD has a length and no body. */
  readonly headOnly?: boolean
}

const MAX_REASON_LENGTH = 240

export function formatAnswer(options: AnswerOptions): string {
  const { status, body, contentType = 'application/json', keptMs } = options
  const reason = safeText(options.reason ?? STATUS_CODES[status] ?? 'Unknown')
  let head = `HTTP/1.1 ${status} ${reason}\r\ncontent-type: ${contentType}\r\ncontent-length: ${body.length}\r\n`
  for (const [name, value] of Object.entries(options.headers ?? {}))
    for (const each of typeof value === 'string' ? [value] : value)
      head += `${name}: ${safeText(each, 2048)}\r\n`
  head += `date: ${new Date().toUTCString()}\r\n${connectionFields(keptMs)}\r\n`
  return options.headOnly === true ? head : head + body
}

export interface RefusalContext {
  readonly requestId: string
  readonly method: string
  /** How long the client's connection is kept after it, in milliseconds; null: it is closed. */
  readonly keptMs: number | null
}

/** Latin1-safe: JSON escapes everything outside ASCII. */
export function formatRefusal(refused: Refused, context: RefusalContext): string {
  const { gate, error, rule } = refused
  const { requestId, method, keptMs } = context
  const message = error.publicMessage
  const body = asciiJson({
    code: error.code,
    gate,
    reason: message,
    rule,
    hint: error.hint,
    request_id: requestId,
  })
  const headers: Record<string, string | string[]> = {
    'cache-control': 'no-store',
    'x-request-id': requestId,
    [HEADER_REFUSAL]: error.code,
  }
  if (error.row.http === 407)
    headers['proxy-authenticate'] = [
      'Bearer realm="clawmesh"',
      'Basic realm="clawmesh", charset="UTF-8"',
    ]
  if (error.row.http === 401) headers['www-authenticate'] = 'Bearer realm="clawmesh"'
  if (error.facts.allow !== undefined) headers.allow = error.facts.allow
  if (error.retryAfterMs !== undefined)
    headers['retry-after'] = String(Math.max(1, Math.ceil(error.retryAfterMs / 1000)))
  return formatAnswer({
    status: error.row.http,
    body: `${body}\n`,
    headers,
    keptMs,
    headOnly: method === 'HEAD',
    ...(method === 'CONNECT' ? { reason: `${error.code} ${message}; ${error.hint}` } : {}),
  })
}

export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** One line of printable ASCII, for any input. */
function safeText(text: string, maxLength = MAX_REASON_LENGTH): string {
  return text
    .slice(0, maxLength)
    .replaceAll('’', "'")
    .replace(/[^\x20-\x7e]/g, '?')
}
