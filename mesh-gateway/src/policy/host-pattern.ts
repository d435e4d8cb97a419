/**
 * Host patterns: `api.example.com`, `*.example.com`, an IP literal, each optionally with `:port`.
 * Kept in the one canonical form in which destinations arrive, so that no spelling escapes a rule:
 * lower case, punycode, no trailing dot; IPv6 as RFC 5952 has it, without brackets.
 */
import { isIP, isIPv4, isIPv6 } from 'node:net'
import { domainToASCII } from 'node:url'

export interface HostPattern {
  /** Without `*.` and port. */
  readonly host: string
  /** True of `*.host`: any depth below host, and not host itself. */
  readonly wildcard: boolean
  /** Null when none is named: 80 and 443 for an allow rule, every port for a deny rule. */
  readonly port: number | null
}

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/
const PORT = /^[1-9]\d{0,4}$/
const MAX_LENGTH = 300

/** The pattern, or a sentence saying why it is none. */
export function parseHostPattern(text: string): HostPattern | string {
  if (text.length === 0) return 'is empty'
  if (text.length > MAX_LENGTH) return 'is too long for a host'
  if (text === '*' || text.startsWith('*:'))
    return 'matches everything; name hosts, or use mode audit to see which are wanted'
  if (text.includes('://')) return `is a URL; write the host alone: ${hostOfUrl(text)}`
  if (/^[^/]+\/\d{1,3}$/.test(text) && isIP(text.split('/')[0] ?? '') !== 0)
    return 'is an address range; ranges belong in allowCidrs or denyCidrs of _global.json'
  if (text.includes('/')) return 'holds a path; write { "host": …, "paths": […] } instead'
  if (/[\s\p{Cc}\p{Cf}@%?#\\]/u.test(text)) return 'holds a character that no host has'
  const split = splitPort(text)
  if (typeof split === 'string') return split
  const wildcard = split.host.startsWith('*.')
  const host = canonicalHost(wildcard ? split.host.slice(2) : split.host)
  if (host === null) return explainHost(split.host)
  if (wildcard && isIP(host) !== 0) return 'puts a wildcard before an IP address'
  return { host, wildcard, port: split.port }
}

/** As policy and tokens write it. */
export function formatHostPattern(pattern: HostPattern): string {
  const host = pattern.host.includes(':') ? `[${pattern.host}]` : pattern.host
  return `${pattern.wildcard ? '*.' : ''}${host}${pattern.port === null ? '' : `:${pattern.port}`}`
}

/** True when the pattern, of an allow rule or a token, takes in the port. */
export function portMatches(pattern: HostPattern, port: number): boolean {
  return pattern.port === null ? usualPort(port) : pattern.port === port
}

/** True of the ports that go without saying. */
export function usualPort(port: number): boolean {
  return port === 80 || port === 443
}

/** One canonical form of a name or an IP literal, or null when it is neither. */
export function canonicalHost(text: string): string | null {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text
  if (isIPv6(bare)) {
    const address = bare.includes('%') ? null : canonicalIpv6(bare)
    // ::ffff:192.0.2.1 reaches 192.0.2.1: it is that address
    return address?.startsWith('::ffff:') ? (embeddedIpv4(address) ?? address) : address
  }
  if (bare !== text) return null
  if (isIPv4(text)) return text
  const dotless = text.endsWith('.') ? text.slice(0, -1) : text
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is ASCII
  const ascii = /^[\x00-\x7f]*$/.test(dotless) ? dotless.toLowerCase() : domainToASCII(dotless)
  if (ascii.length === 0 || ascii.length > 253) return null
  const labels = ascii.split('.')
  if (!labels.every((label) => LABEL.test(label))) return null
  if (ascii.includes('xn--') && labels.some((label) => label.startsWith('xn--')))
    if (domainToASCII(ascii) !== ascii) return null
  // 127.1, 0x7f.1 and their kind are addresses to some and names to others: neither to us
  return /^(?:\d+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? '') ? null : ascii
}

/** The IPv4 address that an IPv6 literal embeds (mapped, compatible, NAT64), or null. */
export function embeddedIpv4(ipv6: string): string | null {
  const match = /^(?:::ffff:|::|64:ff9b::)([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(ipv6)
  if (match === null) return null
  const high = Number.parseInt(match[1] ?? '', 16)
  const low = Number.parseInt(match[2] ?? '', 16)
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
}

export function canonicalIpv6(address: string): string | null {
  return URL.parse(`http://[${address}]/`)?.hostname.slice(1, -1) ?? null
}

function splitPort(text: string): { host: string; port: number | null } | string {
  if (isIPv6(text)) return { host: text, port: null }
  const colon = text.lastIndexOf(':')
  if (colon === -1 || text.endsWith(']')) return { host: text, port: null }
  const digits = text.slice(colon + 1)
  if (!PORT.test(digits) || Number(digits) > 65535) return 'has no valid port after the colon'
  return { host: text.slice(0, colon), port: Number(digits) }
}

function explainHost(host: string): string {
  if (host.lastIndexOf('*') > 0 || (host.startsWith('*') && !host.startsWith('*.')))
    return 'has a wildcard elsewhere than as *. at the start'
  if (/^[\d.]+$/.test(host) || /^0x/i.test(host))
    return 'is no IPv4 address in its usual form, four numbers from 0 to 255'
  if (host.includes(':')) return 'is no IPv6 address; with a port, write it as [address]:port'
  return 'is neither a host name nor an IP address'
}

function hostOfUrl(text: string): string {
  return URL.parse(text)?.hostname || 'api.example.com'
}
