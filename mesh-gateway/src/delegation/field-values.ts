/**
 * Headers and trailers as Node lists them: names and values in turn. Node's parsed object is not used for what is judged or
 * passed on: it joins, drops and reorders.
 */

/** Space and tab: optional whitespace around a field value is no part of it (RFC 9110, section 5.5). */
const SPACE = 0x20
const TAB = 0x09

/**
 * Values without whitespace around them. A peer that sends some is malformed to HTTP/2 (RFC 9113, section 8.2.1), but nghttp2
 * drops such a field in silence unless it is told to deliver it, and a narrowing that is dropped is a right that is given.
 * gRPC lets whitespace around an ASCII value be stripped (PROTOCOL-HTTP2, "ASCII-Value").
 * @returns the same list where there is nothing to take away
 */
export function trimmedFields(raw: readonly string[]): readonly string[] {
  for (let i = 1; i < raw.length; i += 2)
    if (hasSpaceAround(raw[i] ?? ''))
      return raw.map((item, at) => (at % 2 === 1 ? trimmed(item) : item))
  return raw
}

/** A field that may be given once is given twice: of two readers, each may take another value. No value that a peer sends is it. */
export const GIVEN_TWICE: unique symbol = Symbol('given twice')

/** Of a field that may be given once: null when it is not there. */
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
