/**
 * Parses the head of an upstream's answer. The framing of the body follows RFC 9112, section 6.3; an ambiguity is an
 * error.
 */
import {
  declaredLength,
  type Field,
  listOf,
  MalformedMessage,
  RESPONSE_LIMITS,
  readFields,
  readLines,
} from './head.ts'

export type BodyFraming = number | 'chunked' | 'until-close'

export interface ResponseHead {
  readonly status: number
  readonly reason: string
  readonly fields: readonly Field[]
  readonly body: BodyFraming
  /** The connection can carry another request afterwards. */
  readonly keepAlive: boolean
  readonly nominated: readonly string[]
}

/** Codes above 599 are accepted, as clients do (RFC 9110, section 15): LinkedIn answers 999. */
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?$/

/** @param head including the empty line. @throws MalformedMessage */
export function parseResponseHead(head: Buffer, method: string): ResponseHead {
  const lines = readLines(head)
  const [, minor, digits, reason = ''] = STATUS_LINE.exec(lines[0] ?? '') ?? []
  if (digits === undefined) throw new MalformedMessage('the status line is malformed')
  const status = Number(digits)
  const fields = readFields(lines, RESPONSE_LIMITS, 1, 'drop')
  const declared = declaredLength(fields)
  const nominated = listOf(fields, 'connection')
  // without the field, the answer would be forwarded without its end, and the next one read as part of it
  if (nominated.includes('content-length') || nominated.includes('transfer-encoding'))
    throw new MalformedMessage('the Connection header names a field that frames the message')
  const body = framing(method, status, declared)
  const keepAlive = minor === '1' && !nominated.includes('close') && body !== 'until-close'
  return { status, reason, fields, body, keepAlive, nominated }
}

function framing(method: string, status: number, declared: number | 'chunked' | null): BodyFraming {
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return 0
  return declared ?? 'until-close'
}
