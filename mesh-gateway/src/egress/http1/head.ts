/**
 * Parses the head of an HTTP/1 message, strictly (RFC 9112): a head that two parsers could read differently is refused,
 * never repaired. Bytes are kept as latin1 text, so that the forwarded head is the judged one.
 */
export interface Field {
  /** Lower case. */
  readonly name: string
  /** As sent. */
  readonly rawName: string
  /** Without whitespace around it. */
  readonly value: string
}

export interface HeadLimits {
  readonly maxBytes: number
  readonly maxFields: number
}

/** The peer's message is not HTTP that we accept. The error message never contains the peer's bytes. */
export class MalformedMessage extends Error {
  override readonly name = 'MalformedMessage'
}

/** It has more bytes or more fields than allowed. */
export class HeadTooLarge extends MalformedMessage {}

/** The limits of a client's head. */
export const REQUEST_LIMITS: HeadLimits = Object.freeze({ maxBytes: 16_384, maxFields: 100 })
/** Larger: servers set many cookies. */
export const RESPONSE_LIMITS: HeadLimits = Object.freeze({ maxBytes: 65_536, maxFields: 256 })

const HEAD_END = Buffer.from('\r\n\r\n', 'latin1')
/** The empty line of a sender whose lines end with a bare LF. */
const BARE_ENDS: readonly Buffer[] = ['\n\n', '\n\r\n'].map((end) => Buffer.from(end, 'latin1'))
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/**
 * The number of bytes of the head, including the empty line, or -1 while it is incomplete.
 * @throws HeadTooLarge when it is larger than allowed.
 * @throws MalformedMessage when it ends for its sender alone: waiting for more would be in vain.
 */
export function findHeadEnd(bytes: Buffer, limits: HeadLimits): number {
  const end = bytes.indexOf(HEAD_END)
  if (end === -1 ? bytes.length > limits.maxBytes : end + 4 > limits.maxBytes)
    throw new HeadTooLarge(`the head is larger than ${limits.maxBytes} bytes`)
  if (end !== -1) return end + 4
  if (BARE_ENDS.some((bare) => bytes.includes(bare)))
    throw new MalformedMessage('a line of the head ends without CR')
  return -1
}

/** The lines of a whole head, the start line first. @throws MalformedMessage */
export function readLines(head: Buffer): string[] {
  const end = head.length - 4
  if (holdsControl(head, end)) throw new MalformedMessage('the head holds a control character')
  return head.toString('latin1', 0, end).split('\r\n')
}

/**
 * In an answer, a blank before the colon is removed (RFC 9112, section 5.1), except in these fields, where servers and
 * proxies have read two answers out of one.
 */
const FRAMING: ReadonlySet<string> = Object.freeze(
  new Set(['content-length', 'transfer-encoding', 'connection', 'upgrade', 'trailer']),
)

export type BlanksBeforeColon = 'refuse' | 'drop'

/**
 * Parses all lines but the start line.
 * @param blanksBeforeColon how to treat them. Default `refuse`
 * @throws MalformedMessage
 */
export function readFields(
  lines: readonly string[],
  limits: HeadLimits,
  from = 1,
  blanksBeforeColon: BlanksBeforeColon = 'refuse',
): Field[] {
  if (lines.length - from > limits.maxFields)
    throw new HeadTooLarge(`there are more than ${limits.maxFields} header fields`)
  const fields: Field[] = []
  for (let index = from; index < lines.length; index += 1) {
    const line = lines[index] ?? ''
    const colon = line.indexOf(':')
    let end = Math.max(0, colon)
    if (blanksBeforeColon === 'drop') while (end > 0 && isBlank(line.charCodeAt(end - 1))) end -= 1
    const blank = end < colon
    const rawName = line.slice(0, end)
    // this refuses folded lines too
    if (!NAME.test(rawName)) throw new MalformedMessage('the name of a header field is malformed')
    const name = rawName.toLowerCase()
    if (blank && FRAMING.has(name))
      throw new MalformedMessage('there is a blank before the colon of a field that frames it')
    fields.push({ name, rawName, value: trim(line, colon + 1) })
  }
  return fields
}

/** The value of a field that may occur once. @throws MalformedMessage when it occurs twice. */
export function single(fields: readonly Field[], name: string): string | null {
  let found: string | null = null
  for (const field of fields) {
    if (field.name !== name) continue
    if (found !== null) throw new MalformedMessage(`the header ${name} comes more than once`)
    found = field.value
  }
  return found
}

/** The members of a list, lower case; the list may be spread over several fields. */
export function listOf(fields: readonly Field[], name: string): string[] {
  const members: string[] = []
  for (const field of fields)
    if (field.name === name)
      for (const member of field.value.split(',')) {
        const trimmed = member.trim().toLowerCase()
        if (trimmed !== '') members.push(trimmed)
      }
  return members
}

/** The length of the body by its fields alone. @throws MalformedMessage when two readers could disagree about it. */
export function declaredLength(fields: readonly Field[]): number | 'chunked' | null {
  const length = single(fields, 'content-length')
  const coding = single(fields, 'transfer-encoding')
  if (coding !== null) {
    if (length !== null)
      throw new MalformedMessage('there is both a Content-Length and a Transfer-Encoding')
    if (coding.toLowerCase() !== 'chunked')
      throw new MalformedMessage('the Transfer-Encoding is not chunked')
    return 'chunked'
  }
  if (length === null) return null
  if (!/^[0-9]{1,15}$/.test(length)) throw new MalformedMessage('the Content-Length is malformed')
  return Number(length)
}

/**
 * Finds controls other than a tab, and CR or LF that do not end a line. A loop over bytes: a regular expression takes
 * twice as long.
 */
function holdsControl(bytes: Buffer, end: number): boolean {
  for (let at = 0; at < end; at += 1) {
    const byte = bytes[at] ?? 0
    if ((byte >= 32 && byte !== 127) || byte === 9) continue
    if (byte !== 13 || bytes[at + 1] !== 10 || at + 1 === end) return true
    at += 1
  }
  return false
}

function trim(line: string, from: number): string {
  let start = from
  let end = line.length
  while (start < end && isBlank(line.charCodeAt(start))) start += 1
  while (end > start && isBlank(line.charCodeAt(end - 1))) end -= 1
  return line.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9
}
