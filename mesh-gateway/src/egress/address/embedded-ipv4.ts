/**
 * IPv4 addresses that an IPv6 address carries inside, in every form a translator or tunnel on the way might unpack.
 * An address is judged together with all of these.
 */
import type { IpBytes } from '../target/ip-literal.ts'
import { type Cidr, contains, parseCidr } from './cidr.ts'

interface Form {
  readonly range: Cidr
  extract(address: IpBytes): IpBytes
}

const at = (range: string, offset: number): Form => ({
  range: parseCidr(range),
  extract: (address) => address.subarray(offset, offset + 4),
})

const FORMS: readonly Form[] = Object.freeze([
  at('::ffff:0:0/96', 12),
  at('::/96', 12),
  at('::ffff:0:0:0/96', 12),
  at('64:ff9b::/96', 12),
  // RFC 6052 lets a prefix be 48 long (bytes 6, 7, then 9, 10: byte 8 is left out) or 96 long within 64:ff9b:1::/48
  at('64:ff9b:1::/48', 12),
  {
    range: parseCidr('64:ff9b:1::/48'),
    extract: (a) => Uint8Array.of(a[6] ?? 0, a[7] ?? 0, a[9] ?? 0, a[10] ?? 0),
  },
  at('2002::/16', 2),
  at('2001::/32', 4),
  {
    // Teredo keeps the client's address inverted (RFC 4380)
    range: parseCidr('2001::/32'),
    extract: (a) => a.subarray(12, 16).map((byte) => byte ^ 0xff),
  },
])

/** Empty for IPv4, and for IPv6 that embeds none. */
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

/** :: and ::1 lie among the IPv4-compatible addresses and are none. */
function isUnspecifiedOrLoopback(address: IpBytes): boolean {
  return address.subarray(0, 15).every((byte) => byte === 0) && (address[15] ?? 0) <= 1
}
