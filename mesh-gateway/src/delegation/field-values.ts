/**
 * Headers and trailers as Node lists them: names and values in turn. Node's parsed object joins, drops and reorders
 * fields, so it is never used to judge or forward.
 */

/** Space and tab: optional whitespace around a field value is not part of it (RFC 9110, section 5.5). */
const SPACE = 0x20
const TAB = 0x09

/**
 * Values without whitespace around them. HTTP/2 calls such a field malformed (RFC 9113, section 8.2.1), but nghttp2
 * drops it in silence unless it is told to deliver it, and a dropped narrowing would widen authority. gRPC lets
 * whitespace around an ASCII value be stripped (PROTOCOL-HTTP2, "ASCII-Value").
 * @returns the same list when there is nothing to trim
 */
export function trimmedFields(raw: readonly string[]): readonly string[] {
  for (let i = 1; i < raw.length; i += 2)
    if (hasSpaceAround(raw[i] ?? ''))
      return raw.map((item, at) => (at % 2 === 1 ? trimmed(item) : item))
  return raw
}

/**
 * The result for a field that may be given once and is given twice: two readers could take different values. No value
 * that a peer sends equals it.
 */
export const GIVEN_TWICE: unique symbol = Symbol('given twice')

/** The value of a field that may be given once; null when it is absent. */
export function fieldOnce(
  raw: readonly string[],
  name: string,
): string | typeof GIVEN_TWICE | null {
  let found: string | null = null
  for (let i = 0; i + 1 < raw.length; i += 2) {
    if (raw[i] !== name) continue
    if (found !== null) return GIVEN_TWICE
    found = raw[i + 1] ?? ''
  }
  return found
}

function hasSpaceAround(value: string): boolean {
  const { length } = value
  return length > 0 && (isSpace(value.charCodeAt(0)) || isSpace(value.charCodeAt(length - 1)))
}

function isSpace(code: number): boolean {
  return code === SPACE || code === TAB
}

function trimmed(value: string): string {
  let from = 0
  let to = value.length
  while (from < to && isSpace(value.charCodeAt(from))) from += 1
  while (to > from && isSpace(value.charCodeAt(to - 1))) to -= 1
  return value.slice(from, to)
}
