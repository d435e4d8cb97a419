/** IP addresses and ranges in the form of X.509: 4 or 16 bytes; a range is the address followed by the mask. */
import { isIP } from 'node:net'

/** Address, then mask: 8 or 32 bytes. */
export type IpRange = Buffer

export const ANY_IP: readonly IpRange[] = Object.freeze([Buffer.alloc(8), Buffer.alloc(32)])

/** The bytes of an address, or null when it is invalid. */
export function ipBytes(text: string): Buffer | null {
  const version = isIP(text)
  if (version === 4) return Buffer.from(text.split('.').map(Number))
  if (version !== 6 || text.includes('%')) return null
  // URL gives the canonical form of an IPv6 address, with dotted tails as groups
  const groups = new URL(`http://[${text}]`).hostname.slice(1, -1)
  const [head = '', tail] = groups.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0')
  const bytes = Buffer.alloc(16)
  for (const [index, group] of [...before, ...zeros, ...after].entries())
    bytes.writeUInt16BE(Number.parseInt(group, 16), index * 2)
  return bytes
}

/** A range in CIDR notation, or null when it is invalid or has bits set outside its prefix. */
export function parseIpRange(cidr: string): IpRange | null {
  const [, address = '', prefix = ''] = /^([0-9a-fA-F.:]+)\/(\d{1,3})$/.exec(cidr) ?? []
  const bytes = ipBytes(address)
  const bits = Number(prefix)
  if (bytes === null || bits > bytes.length * 8) return null
  const mask = Buffer.from(
    Array.from(bytes, (_, index) => 256 - 2 ** (8 - Math.min(8, Math.max(0, bits - index * 8)))),
  )
  const stray = bytes.some((byte, index) => (byte & ~(mask[index] ?? 0)) !== 0)
  return stray ? null : Buffer.concat([bytes, mask])
}

export function ipInRange(address: Buffer, range: IpRange): boolean {
  if (range.length !== address.length * 2) return false
  return address.every((byte, index) => {
    const mask = range[address.length + index] ?? 0
    return (byte & mask) === ((range[index] ?? 0) & mask)
  })
}

/** Dotted IPv4; IPv6 in groups, without shortened zeros. */
export function formatIp(address: Buffer): string {
  if (address.length === 4) return address.join('.')
  return (address.toString('hex').match(/.{4}/g) ?? []).join(':')
}
