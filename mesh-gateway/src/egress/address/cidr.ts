/** Ranges of addresses, as bytes: `net.BlockList` misses what is embedded and takes what is ambiguous. */
import { type IpBytes, parseIpv4, parseIpv6 } from '../target/ip-literal.ts'

export interface Cidr {
  readonly text: string
  readonly bytes: IpBytes
  readonly prefix: number
}

/** @throws TypeError when it is not `address/prefix` with the bits after the prefix at zero; policy has checked it before. */
export function parseCidr(text: string): Cidr {
  const [address = '', length = '', ...more] = text.split('/')
  const bytes = address.includes(':') ? parseIpv6(address) : parseIpv4(address)
  const prefix = /^\d{1,3}$/.test(length) ? Number(length) : -1
  if (bytes === null || more.length > 0 || prefix < 0 || prefix > bytes.length * 8)
    throw new TypeError(`not an address range: ${JSON.stringify(text)}`)
  return { text, bytes, prefix }
}

export function contains(cidr: Cidr, address: IpBytes): boolean {
  if (cidr.bytes.length !== address.length) return false
  const whole = cidr.prefix >> 3
  for (let index = 0; index < whole; index += 1)
    if (cidr.bytes[index] !== address[index]) return false
  const rest = cidr.prefix & 7
  if (rest === 0) return true
  const mask = (0xff << (8 - rest)) & 0xff
  return ((cidr.bytes[whole] ?? 0) & mask) === ((address[whole] ?? 0) & mask)
}

/** True of a range that is one address. */
export function isSingle(cidr: Cidr): boolean {
  return cidr.prefix === cidr.bytes.length * 8
}
