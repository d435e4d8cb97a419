/** Address ranges as `_global.json` writes them: `10.20.0.0/16`, `fd00:20::/32`. */
import { isIPv4, isIPv6 } from 'node:net'
import { canonicalIpv6 } from './host-pattern.ts'

/** The range in canonical form, or a sentence saying why it is none. */
export function parseCidr(text: string): { readonly cidr: string } | string {
  const [address = '', prefix, ...rest] = text.split('/')
  const v4 = isIPv4(address)
  if (!v4 && (!isIPv6(address) || address.includes('%'))) return 'does not begin with an IP address'
  const bits = v4 ? 32 : 128
  if (prefix === undefined) return `has no prefix length; for one address write ${text}/${bits}`
  if (rest.length > 0 || !/^(?:0|[1-9]\d{0,2})$/.test(prefix) || Number(prefix) > bits)
    return `has a prefix length that is not between 0 and ${bits}`
  const value = toNumber(address)
  const hostBits = BigInt(bits - Number(prefix))
  const network = (value >> hostBits) << hostBits
  const canonical = `${toText(network, bits)}/${prefix}`
  if (network !== value) return `has bits beyond its prefix; write ${canonical}`
  return { cidr: canonical }
}

function toNumber(address: string): bigint {
  if (isIPv4(address))
    return address.split('.').reduce((sum, part) => (sum << 8n) | BigInt(part), 0n)
  const [head = '', tail] = (canonicalIpv6(address) ?? '').split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const middle = tail === undefined ? 0 : 8 - before.length - after.length
  const groups = [...before, ...Array.from({ length: middle }, () => '0'), ...after]
  return groups.reduce((sum, group) => (sum << 16n) | BigInt(Number.parseInt(group, 16)), 0n)
}

function toText(value: bigint, bits: number): string {
  const width = bits === 32 ? 8n : 16n
  const count = bits === 32 ? 4 : 8
  const parts = Array.from({ length: count }, (_, index) => {
    const part = (value >> (width * BigInt(count - 1 - index))) & ((1n << width) - 1n)
    return part.toString(bits === 32 ? 10 : 16)
  })
  return bits === 32 ? parts.join('.') : (canonicalIpv6(parts.join(':')) ?? parts.join(':'))
}
