/**
 * The one canonical form of a host, for destinations and for rules and tokens alike: lower case, punycode, no trailing
 * dot; IPv4 in dotted decimal from any spelling; IPv6 by RFC 5952, without brackets. A host that two parsers could read
 * differently is refused.
 */
import { domainToASCII, domainToUnicode } from 'node:url'
import { formatIp, looksLikeIpv4, parseIpv6, parseLooseIpv4, unmapped } from './ip.ts'

export interface CanonicalHost {
  readonly name: string
  readonly isIp: boolean
}

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/
// biome-ignore lint/suspicious/noControlCharactersInRegex: the range is ASCII
const ASCII = /^[\x00-\x7f]*$/

/** @param text as in the request, e.g. `API.Example.com.` or `[::1]`. A string says why it is refused. */
export function canonicalHost(text: string): CanonicalHost | string {
  if (text.length === 0) return 'the host is empty'
  if (text.length > 1024) return 'the host is too long'
  if (text.startsWith('[') || text.endsWith(']')) return bracketed(text)
  if (text.includes(':')) return 'an IPv6 address needs brackets'
  const dotless = text.endsWith('.') ? text.slice(0, -1) : text
  const name = ASCII.test(dotless) ? dotless.toLowerCase() : punycode(dotless)
  if (name === null) return 'the host holds characters that can be read in more than one way'
  if (name.length === 0 || name.length > 253) return 'the host is empty or too long'
  if (looksLikeIpv4(name)) {
    const address = parseLooseIpv4(name)
    return address === null
      ? 'the host looks like an IPv4 address and is none'
      : { name: formatIp(address), isIp: true }
  }
  const labels = name.split('.')
  if (!labels.every((label) => LABEL.test(label))) return 'the host is not a DNS name'
  if (labels.some((label) => label.startsWith('xn--')) && !isCanonicalPunycode(name))
    return 'the host holds punycode that is not canonical'
  return { name, isIp: false }
}

/** Like canonicalHost; an IPv6 address may also be without brackets, as in rules, tokens and audit records. */
export function canonicalName(text: string): CanonicalHost | string {
  return canonicalHost(text.includes(':') && !text.startsWith('[') ? `[${text}]` : text)
}

function bracketed(text: string): CanonicalHost | string {
  if (!text.startsWith('[') || !text.endsWith(']')) return 'the brackets of the host do not match'
  const address = parseIpv6(text.slice(1, -1))
  if (address === null) return 'what stands in brackets is not an IPv6 address'
  return { name: formatIp(unmapped(address)), isIp: true }
}

/** True when each label decodes to letters that encode to the same label. */
function isCanonicalPunycode(name: string): boolean {
  const unicode = domainToUnicode(name)
  const decoded = !unicode.split('.').some((label) => label.startsWith('xn--'))
  return unicode !== '' && decoded && domainToASCII(unicode) === name
}

/** Only case and normalisation may differ: a mapping that drops or replaces characters would hide the real name. */
function punycode(text: string): string | null {
  const ascii = domainToASCII(text)
  if (ascii === '') return null
  const plain = text.normalize('NFC').toLowerCase()
  return domainToUnicode(ascii) === plain && !plain.includes('xn--') ? ascii : null
}
