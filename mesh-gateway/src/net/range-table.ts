/**
 * A table of address ranges, found by look-up: one map per prefix length. The cost of a look-up grows with the number
 * of different prefixes (at most 33 and 129), not with the number of ranges.
 */
import type { Cidr } from './cidr.ts'
import type { IpBytes } from './ip.ts'

export interface RangeTable {
  /** The widest range that contains the address; null when none does. */
  find(address: IpBytes): Cidr | null
  /** True when one range is exactly this address, `/32` or `/128`. */
  hasSingle(address: IpBytes): boolean
}

interface Family {
  readonly prefixes: readonly number[]
  readonly byPrefix: ReadonlyMap<number, ReadonlyMap<string | number, Cidr>>
}

export function rangeTable(ranges: readonly Cidr[]): RangeTable {
  const ipv4 = familyOf(ranges.filter(({ bytes }) => bytes.length === 4))
  const ipv6 = familyOf(ranges.filter(({ bytes }) => bytes.length === 16))
  const of = (address: IpBytes) => (address.length === 4 ? ipv4 : ipv6)
  return Object.freeze({
    find(address: IpBytes) {
      const { prefixes, byPrefix } = of(address)
      for (const prefix of prefixes) {
        const found = byPrefix.get(prefix)?.get(keyOf(address, prefix))
        if (found !== undefined) return found
      }
      return null
    },
    hasSingle(address: IpBytes) {
      const bits = address.length * 8
      return of(address).byPrefix.get(bits)?.has(keyOf(address, bits)) ?? false
    },
  })
}

function familyOf(ranges: readonly Cidr[]): Family {
  const byPrefix = new Map<number, Map<string | number, Cidr>>()
  for (const range of ranges) {
    const there = byPrefix.get(range.prefix) ?? new Map<string | number, Cidr>()
    byPrefix.set(range.prefix, there)
    const key = keyOf(range.bytes, range.prefix)
    if (!there.has(key)) there.set(key, range)
  }
  return { prefixes: [...byPrefix.keys()].sort((a, b) => a - b), byPrefix }
}

/** Equal for two addresses of one family if and only if their first bits are equal. */
function keyOf(address: IpBytes, prefix: number): string | number {
  if (address.length === 4) {
    const [a = 0, b = 0, c = 0, d = 0] = address
    return prefix === 0 ? 0 : ((a << 24) | (b << 16) | (c << 8) | d) >>> (32 - prefix)
  }
  const rest = prefix & 7
  let key = ''
  for (let index = 0; index < prefix >> 3; index += 1)
    key += String.fromCharCode(address[index] ?? 0)
  return rest === 0 ? key : key + String.fromCharCode((address[prefix >> 3] ?? 0) >> (8 - rest))
}
