/**
 * The IPv4 addresses embedded in an IPv6 address, in every form that a translator or tunnel on the path might unpack.
 * An address is judged together with all of them. The IPv4-mapped form is not included: such an address is the IPv4
 * address (`unmapped` of ip.ts).
 */

import { type Cidr, cidr, contains } from './cidr.ts'
import type { IpBytes } from './ip.ts'

interface Form {
  readonly range: Cidr
  extract(address: IpBytes): IpBytes
}

const at = (range: string, offset: number): Form => ({
  range: cidr(range),
  extract: (address) => address.subarray(offset, offset + 4),
})

const around8 = (range: string, offset: number): Form => ({
  range: cidr(range),
  extract: (address) => {
    const bytes = address.subarray(offset, offset + 5)
    return bytes.filter((_, index) => offset + index !== 8)
  },
})

const FORMS: readonly Form[] = Object.freeze([
  at('::/96', 12),
  at('::ffff:0:0:0/96', 12),
  at('64:ff9b::/96', 12),
  // RFC 6052 lets a prefix within 64:ff9b:1::/48 be 48, 56, 64 or 96 long; byte 8 is never part of the address
  around8('64:ff9b:1::/48', 6),
  around8('64:ff9b:1::/48', 7),
  at('64:ff9b:1::/48', 9),
  at('64:ff9b:1::/48', 12),
  at('2002::/16', 2),
  at('2001::/32', 4),
  {
    // Teredo keeps the client's address inverted (RFC 4380)
    range: cidr('2001::/32'),
    extract: (a) => a.subarray(12, 16).map((byte) => byte ^ 0xff),
  },
])

/** Empty for IPv4, and for IPv6 without an embedded address. */
export function embeddedIpv4(address: IpBytes): readonly IpBytes[] {
  if (address.length !== 16 || isUnspecifiedOrLoopback(address)) return []
  const found = FORMS.filter((form) => contains(form.range, address)).map((form) =>
    form.extract(address),
  )
  if (isIsatap(address)) found.push(address.subarray(12, 16))
  return found
}

/** RFC 5214: the interface identifier is 0000:5efe or 0200:5efe, then the IPv4 address. */
export function isIsatap(address: IpBytes): boolean {
  if (address.length !== 16) return false
  const universal = address[8] === 0 || address[8] === 2
  return universal && address[9] === 0 && address[10] === 0x5e && address[11] === 0xfe
}

/** :: and ::1 are in the IPv4-compatible range, and embed no address. */
function isUnspecifiedOrLoopback(address: IpBytes): boolean {
  return address.subarray(0, 15).every((byte) => byte === 0) && (address[15] ?? 0) <= 1
}
