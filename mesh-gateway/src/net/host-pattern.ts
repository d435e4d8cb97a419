/**
 * Host patterns: `api.example.com`, `*.example.com`, an IP literal, each optionally with `:port`. host.ts makes the
 * host of a pattern and that of a destination canonical, so that no spelling bypasses a rule. IPv6 is written without
 * brackets here.
 */
import { isIP, isIPv6 } from 'node:net'
import { canonicalName } from './host.ts'

export interface HostPattern {
  /** Without `*.` and port. */
  readonly host: string
  /** True for `*.host`: any depth below host, and not host itself. */
  readonly wildcard: boolean
  /** Null when none is named: 80 and 443 for an allow rule, every port for a deny rule. */
  readonly port: number | null
}

const PORT = /^[1-9]\d{0,4}$/
const MAX_LENGTH = 300

/** The pattern, or a sentence that says what is wrong with it. */
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
  const bare = wildcard ? split.host.slice(2) : split.host
  const host = canonicalName(bare)
  if (typeof host === 'string') return explainHost(split.host)
  if (wildcard && host.isIp) return 'puts a wildcard before an IP address'
  // requests may say 127.1 or 0x7f.1; a rule must give the full address
  if (host.isIp && !bare.includes(':') && bare !== host.name) return explainHost(bare)
  return { host: host.name, wildcard, port: split.port }
}

/** In the notation of policy and tokens. */
export function formatHostPattern(pattern: HostPattern): string {
  const host = pattern.host.includes(':') ? `[${pattern.host}]` : pattern.host
  return `${pattern.wildcard ? '*.' : ''}${host}${pattern.port === null ? '' : `:${pattern.port}`}`
}

/** True when the pattern, of an allow rule or a token, includes the port. */
export function portMatches(pattern: HostPattern, port: number): boolean {
  return pattern.port === null ? usualPort(port) : pattern.port === port
}

/** True for the ports of a pattern without a port. */
export function usualPort(port: number): boolean {
  return port === 80 || port === 443
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
