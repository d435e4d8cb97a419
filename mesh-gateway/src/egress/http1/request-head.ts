/** Parses the head of a request, as strictly as head.ts, with the rules for requests. */
import {
  declaredLength,
  type Field,
  listOf,
  MalformedMessage,
  REQUEST_LIMITS,
  readFields,
  readLines,
  single,
} from './head.ts'

export interface RequestHead {
  readonly method: string
  /** As in the request line. */
  readonly target: string
  readonly version: '1.0' | '1.1'
  readonly fields: readonly Field[]
  readonly host: string | null
  readonly body: number | 'chunked'
  readonly keepAlive: boolean
  readonly expectContinue: boolean
  /** True for a well-formed WebSocket request; every other upgrade is ignored, as a server may do. */
  readonly webSocket: boolean
  /** For TRACE and OPTIONS, the remaining number of hops; null without one, and for other methods. */
  readonly maxForwards: number | null
  /** The members of Connection, lower case. */
  readonly nominated: readonly string[]
}

const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x7e\x80-\xff]+) HTTP\/1\.([01])$/
const ONCE = ['proxy-authorization', 'authorization', 'upgrade', 'content-type'] as const
/** Fields that a client may not declare hop-by-hop. */
const NOT_NOMINABLE: ReadonlySet<string> = new Set(['host', 'content-length', 'transfer-encoding'])

/** @param head including the empty line. @throws MalformedMessage */
export function parseRequestHead(head: Buffer): RequestHead {
  const lines = readLines(head)
  const [, method, target, minor] = REQUEST_LINE.exec(lines[0] ?? '') ?? []
  if (method === undefined || target === undefined)
    throw new MalformedMessage('the request line is malformed')
  const version = minor === '0' ? '1.0' : '1.1'
  const fields = readFields(lines, REQUEST_LIMITS)
  for (const name of ONCE) single(fields, name)
  const host = single(fields, 'host')
  if (host === null && version === '1.1') throw new MalformedMessage('there is no Host header')
  const declared = declaredLength(fields)
  if (declared === 'chunked' && version === '1.0')
    throw new MalformedMessage('HTTP/1.0 knows no chunked bodies')
  if (method === 'CONNECT' && declared !== null && declared !== 0)
    throw new MalformedMessage('CONNECT has no body')
  const nominated = listOf(fields, 'connection')
  if (nominated.some((name) => NOT_NOMINABLE.has(name)))
    throw new MalformedMessage('the Connection header names a field that frames the message')
  const expect = single(fields, 'expect')
  if (expect !== null && expect.toLowerCase() !== '100-continue')
    throw new MalformedMessage('the Expect header asks for something unknown')
  const close = nominated.includes('close') || listOf(fields, 'proxy-connection').includes('close')
  return {
    method,
    target,
    version,
    fields,
    host,
    body: declared ?? 0,
    keepAlive: version === '1.1' && !close,
    expectContinue: expect !== null && version === '1.1',
    webSocket: version === '1.1' && wantsWebSocket(method, declared, fields, nominated),
    maxForwards: method === 'TRACE' || method === 'OPTIONS' ? hopsLeft(fields) : null,
    nominated,
  }
}

function hopsLeft(fields: readonly Field[]): number | null {
  const value = single(fields, 'max-forwards')
  return value !== null && /^[0-9]{1,9}$/.test(value) ? Number(value) : null
}

function wantsWebSocket(
  method: string,
  declared: number | 'chunked' | null,
  fields: readonly Field[],
  nominated: readonly string[],
): boolean {
  if (method !== 'GET' || (declared !== null && declared !== 0)) return false
  const upgrade = single(fields, 'upgrade')
  return upgrade?.toLowerCase() === 'websocket' && nominated.includes('upgrade')
}
