/** Writes the forwarded heads: without hop-by-hop fields, and with new framing. */
import { METADATA_PREFIX } from '@clawmesh/proto'
import type { Target } from '../request.ts'
import { formatAuthority } from '../request.ts'
import { connectionFields } from './connection-fields.ts'
import { isHopByHop } from './hop-by-hop.ts'
import type { RequestHead } from './request-head.ts'
import type { ResponseHead } from './response-head.ts'
import { viaOf } from './via.ts'

export interface RequestMarks {
  readonly requestId: string
  readonly traceparent: string
  /** True when the trace begins at the gateway: the client's tracestate says nothing of it (W3C Trace Context, 4.3). */
  readonly dropTracestate: boolean
  /** The port that Host omits. */
  readonly defaultPort: 80 | 443
  /** Replaces the requested path; null keeps it. */
  readonly path: string | null
  /** True when the Authorization header carries a token of the gateway. */
  readonly dropAuthorization: boolean
}

/** The forwarded name of a destination's own request id: `x-request-id` is the gateway's, as in its log. */
const UPSTREAM_REQUEST_ID = 'x-upstream-request-id'

export function writeRequestHead(head: RequestHead, target: Target, marks: RequestMarks): string {
  const asterisk =
    target.form === 'absolute' && head.method === 'OPTIONS' && isBareAuthority(head.target)
  const path = asterisk ? '*' : `${marks.path ?? target.path ?? '/'}${target.query}`
  const host = formatAuthority(target.host, target.port === marks.defaultPort ? null : target.port)
  let text = `${head.method} ${path} HTTP/1.1\r\nhost: ${host}\r\n`
  for (const { name, rawName, value } of head.fields) {
    if (isHopByHop(name, head.nominated) || name.startsWith('x-mesh-')) continue
    switch (name) {
      case 'host':
      case 'content-length':
      case 'x-request-id':
      case 'traceparent':
      case 'via':
        continue
      case 'tracestate':
        if (marks.dropTracestate) continue
        break
      case 'authorization':
        if (marks.dropAuthorization) continue
        break
      case 'expect':
        if (!head.expectContinue) continue
        break
      case 'max-forwards':
        if (head.maxForwards === null) break
        text += `${rawName}: ${head.maxForwards - 1}\r\n`
        continue
    }
    text += `${rawName}: ${value}\r\n`
  }
  if (head.body === 'chunked') text += 'transfer-encoding: chunked\r\n'
  else if (head.body > 0 || head.fields.some((field) => field.name === 'content-length'))
    text += `content-length: ${head.body}\r\n`
  text += `via: ${viaOf(head.fields, head.version)}\r\nx-request-id: ${marks.requestId}\r\ntraceparent: ${marks.traceparent}\r\n`
  text += head.webSocket
    ? 'connection: upgrade\r\nupgrade: websocket\r\n\r\n'
    : 'connection: keep-alive\r\n\r\n'
  return text
}

export interface ResponseMarks {
  readonly requestId: string
  /** How long the client's connection is kept after it, in milliseconds; null: it is closed. */
  readonly keptMs: number | null
  /** The framing towards the client: as declared, in chunks, or by the end of the connection. */
  readonly framing: 'as-declared' | 'chunked' | 'until-close'
}

export function writeResponseHead(head: ResponseHead, marks: ResponseMarks): string {
  let text = `HTTP/1.1 ${head.status} ${head.reason}\r\n`
  const noLength = head.status === 204 || head.status < 200 || marks.framing !== 'as-declared'
  for (const { name, rawName, value } of head.fields) {
    // a destination may not set headers of the mesh
    if (isHopByHop(name, head.nominated) || name.startsWith(METADATA_PREFIX)) continue
    if (name === 'content-length' && noLength) continue
    text += `${name === 'x-request-id' ? UPSTREAM_REQUEST_ID : rawName}: ${value}\r\n`
  }
  if (head.status < 200 && head.status !== 101) return `${text}\r\n`
  text += `x-request-id: ${marks.requestId}\r\n`
  if (head.status === 101) return `${text}connection: upgrade\r\nupgrade: websocket\r\n\r\n`
  if (marks.framing === 'chunked') text += 'transfer-encoding: chunked\r\n'
  return `${text}${connectionFields(marks.keptMs)}\r\n`
}

function isBareAuthority(target: string): boolean {
  return !/[/?]/.test(target.slice(target.indexOf('://') + 3))
}
