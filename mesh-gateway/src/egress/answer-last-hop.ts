/**
 * Answers TRACE and OPTIONS with `Max-Forwards: 0` (RFC 9110, sections 7.6.2 and 9.3.8) in place of the destination.
 */

import type { RequestHead } from './http1/request-head.ts'
import { formatAnswer } from './respond.ts'

/** Fields that a TRACE answer must not contain. */
const SECRET: ReadonlySet<string> = Object.freeze(
  new Set(['proxy-authorization', 'authorization', 'cookie']),
)

/** The whole answer, to be written as latin1. */
export function formatLastHop(head: RequestHead, requestId: string, keptMs: number | null): string {
  const headers = { 'cache-control': 'no-store', 'x-request-id': requestId }
  if (head.method !== 'TRACE') return formatAnswer({ status: 200, body: '', headers, keptMs })
  let body = `${head.method} ${head.target} HTTP/${head.version}\r\n`
  for (const { name, rawName, value } of head.fields)
    if (!SECRET.has(name)) body += `${rawName}: ${value}\r\n`
  return formatAnswer({
    status: 200,
    body: `${body}\r\n`,
    contentType: 'message/http',
    headers,
    keptMs,
  })
}
