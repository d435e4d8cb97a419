/**
 * Parses address ranges (CIDR) such as `10.20.0.0/16` and `fd00:20::/32` into bytes. The only parser of ranges: a rule
 * and the address that it judges have the same bytes, since an IPv4-mapped address is the IPv4 address in both.
 */
import { formatIp, type IpBytes, parseIpv4, parseIpv6, unmapped } from './ip.ts'

export interface Cidr {
  /** Canonical: dotted decimal, also for a range written as IPv4-mapped, or RFC 5952. */
  readonly text: string
  readonly bytes: IpBytes
  /** In bits. */
  readonly prefix: number
}

/** Bits of `::ffff:0:0/96`, after which the IPv4 address follows (RFC 4291, section 2.5.5.2). */
const MAPPED_BITS = 96
const MAPPED: IpBytes = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0)

/** The range in canonical form, or a sentence that says what is wrong with it. */
export function parseCidr(text: string): Cidr | string {
  const [address = '', length, ...rest] = text.split('/')
  const written = address.includes(':') ? parseIpv6(address) : parseIpv4(address)
  if (written === null) return 'does not begin with an IP address'
  const bits = written.length * 8
  if (length === undefined) return `has no prefix length; for one address write ${text}/${bits}`
  if (rest.length > 0 || !/^(?:0|[1-9]\d{0,2})$/.test(length) || Number(length) > bits)
    return `has a prefix length that is not between 0 and ${bits}`
  const prefix = Number(length)
  const network = masked(written, prefix)
  const range = bits === 128 ? withoutMapped(network, prefix) : rangeOf(network, prefix)
  if (typeof range === 'string') return range
  const exact = network.every((byte, index) => byte === written[index])
  return exact ? range : `has bits beyond its prefix; write ${range.text}`
}

/** A range that is part of the program. @throws TypeError when it is invalid */
export function cidr(text: string): Cidr {
  const parsed = parseCidr(text)
  if (typeof parsed === 'string') throw new TypeError(`${JSON.stringify(text)} ${parsed}`)
  return parsed
}

export function contains(range: Cidr, address: IpBytes): boolean {
  return range.bytes.length === address.length && sharesPrefix(range.bytes, address, range.prefix)
}

/**
 * Mapped addresses are judged as IPv4, so a range of them is a range of IPv4. A wider range contains both kinds and is
 * ambiguous, except `::/0`, which is all of IPv6.
 */
function withoutMapped(network: IpBytes, prefix: number): Cidr | string {
  if (prefix > MAPPED_BITS) {
    const ipv4 = unmapped(network)
    return ipv4.length === 4 ? rangeOf(ipv4, prefix - MAPPED_BITS) : rangeOf(network, prefix)
  }
  if (prefix === 0 || !sharesPrefix(network, MAPPED, prefix)) return rangeOf(network, prefix)
  return 'holds every IPv4 address in its mapped form, ::ffff:0:0/96; for all of IPv4 write 0.0.0.0/0, for IPv6 ranges without it'
}

function rangeOf(bytes: IpBytes, prefix: number): Cidr {
  return Object.freeze({ text: `${formatIp(bytes)}/${prefix}`, bytes, prefix })
}

/** The address with all bits after the prefix set to zero. */
export function masked(address: IpBytes, prefix: number): IpBytes {
  return address.map((byte, index) => byte & maskOf(prefix - index * 8))
}

function sharesPrefix(a: IpBytes, b: IpBytes, prefix: number): boolean {
  for (let index = 0; index * 8 < prefix; index += 1)
    if ((((a[index] ?? 0) ^ (b[index] ?? 0)) & maskOf(prefix - index * 8)) !== 0) return false
  return true
}

/** The mask of one byte in which this many bits count. */
function maskOf(bits: number): number {
  if (bits >= 8) return 0xff
  return bits <= 0 ? 0 : (0xff << (8 - bits)) & 0xff
}
