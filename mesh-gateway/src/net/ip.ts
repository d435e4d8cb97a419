/**
 * IP addresses as bytes: accepts every spelling that some resolver takes for an address, and gives one canonical form.
 * IPv4 spellings are those of the WHATWG URL standard (inet_aton): decimal, octal, hexadecimal, short.
 */

/** Four or sixteen bytes. */
export type IpBytes = Uint8Array

const DIGITS = /^[0-9]+$/
const OCTAL = /^0[0-7]*$/
const HEX = /^0x[0-9a-f]*$/
const GROUP = /^[0-9a-f]{1,4}$/
const STRICT_PART = /^(?:0|[1-9][0-9]{0,2})$/

/** True when URL parsers and resolvers would read the lower-case name as an IPv4 address, valid or not. */
export function looksLikeIpv4(name: string): boolean {
  const last = name.slice(name.lastIndexOf('.') + 1)
  return DIGITS.test(last) || HEX.test(last)
}

/** Any spelling of an IPv4 address, lower case, without a trailing dot; null when it is none. */
export function parseLooseIpv4(text: string): IpBytes | null {
  const parts = text.split('.')
  if (parts.length > 4) return null
  const numbers: number[] = []
  for (const part of parts) {
    const number = parsePart(part)
    if (number === null) return null
    numbers.push(number)
  }
  const last = numbers.pop() ?? 0
  if (numbers.some((number) => number > 255)) return null
  if (last >= 256 ** (4 - numbers.length)) return null
  let value = last
  numbers.forEach((number, index) => {
    value += number * 256 ** (3 - index)
  })
  return Uint8Array.of(value / 2 ** 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255)
}

/** Dotted decimal only, as resolvers and sockets print it. */
export function parseIpv4(text: string): IpBytes | null {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => STRICT_PART.test(part))) return null
  const bytes = parts.map(Number)
  return bytes.every((byte) => byte <= 255) ? Uint8Array.from(bytes) : null
}

/** RFC 4291, section 2.2, without brackets and without a zone. */
export function parseIpv6(text: string): IpBytes | null {
  if (text.length > 45 || text.length < 2) return null
  let source = text.toLowerCase()
  const colon = source.lastIndexOf(':')
  if (source.includes('.')) {
    const embedded = parseIpv4(source.slice(colon + 1))
    if (embedded === null) return null
    const [a = 0, b = 0, c = 0, d = 0] = embedded
    source = `${source.slice(0, colon + 1)}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
  }
  const halves = source.split('::')
  const [head = '', tail] = halves
  if (halves.length > 2) return null
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const missing = 8 - before.length - after.length
  if (tail === undefined ? missing !== 0 : missing < 1) return null
  const groups = [...before, ...Array<string>(Math.max(0, missing)).fill('0'), ...after]
  if (!groups.every((group) => GROUP.test(group))) return null
  const bytes = new Uint8Array(16)
  groups.forEach((group, index) => {
    const value = Number.parseInt(group, 16)
    bytes[index * 2] = value >> 8
    bytes[index * 2 + 1] = value & 255
  })
  return bytes
}

/** An address as printed by a resolver or a socket; an IPv4-mapped one becomes IPv4. Null when it is none. */
export function parseIp(text: string): IpBytes | null {
  const bytes = text.includes(':') ? parseIpv6(text) : parseIpv4(text)
  return bytes === null ? null : unmapped(bytes)
}

/** `::ffff:a.b.c.d` reaches a.b.c.d, so it is the IPv4 address. */
export function unmapped(bytes: IpBytes): IpBytes {
  if (bytes.length !== 16) return bytes
  for (let index = 0; index < 10; index += 1) if (bytes[index] !== 0) return bytes
  return bytes[10] === 255 && bytes[11] === 255 ? bytes.subarray(12) : bytes
}

/** Dotted decimal, or RFC 5952. */
export function formatIp(bytes: IpBytes): string {
  if (bytes.length === 4) return bytes.join('.')
  const groups: number[] = []
  for (let index = 0; index < 16; index += 2)
    groups.push((bytes[index] ?? 0) * 256 + (bytes[index + 1] ?? 0))
  let best = { start: -1, length: 1 }
  for (let start = 0; start < 8; start += 1) {
    let length = 0
    while (start + length < 8 && groups[start + length] === 0) length += 1
    if (length > best.length) best = { start, length }
  }
  const hex = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':')
  if (best.start === -1) return hex(0, 8)
  return `${hex(0, best.start)}::${hex(best.start + best.length, 8)}`
}

function parsePart(part: string): number | null {
  if (part.length === 0 || part.length > 16) return null
  if (HEX.test(part)) return part.length === 2 ? 0 : Number.parseInt(part.slice(2), 16)
  if (part.length > 1 && part.startsWith('0'))
    return OCTAL.test(part) ? Number.parseInt(part, 8) : null
  return DIGITS.test(part) ? Number(part) : null
}
