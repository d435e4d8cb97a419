/** Parses the destination of a request into one canonical form, from any of the entry forms. Pure: makes no lookup. */

import { canonicalHost } from '../net/host.ts'

export type EntryForm = 'connect' | 'absolute' | 'relay'

export interface Target {
  readonly form: EntryForm
  /** Canonical; IPv6 without brackets. */
  readonly host: string
  readonly isIp: boolean
  readonly port: number
  /** Of a URL in absolute form. Null: none is named; in relay form the rule gives it. */
  readonly scheme: 'http' | 'https' | null
  /** False in relay form without a port: the rule's scheme then decides, and `port` is that of https until then. */
  readonly portNamed: boolean
  /** As sent, without the query; null for a tunnel. Rules with paths judge its canonical form. */
  readonly path: string | null
  /** From the question mark on, as sent; empty without one. */
  readonly query: string
}

export interface Authority {
  readonly host: string
  readonly isIp: boolean
  /** Null when none is named. */
  readonly port: number | null
}

export const DEFAULT_PORTS = Object.freeze({ http: 80, https: 443 })
const PORT = /^[1-9][0-9]{0,4}$/
// biome-ignore lint/suspicious/noControlCharactersInRegex: the range is ASCII
const ASCII = /^[\x00-\x7f]*$/
const SCHEME = /^([a-z][a-z0-9+.-]*):\/\//i
/** What is spoken to the destination. curl before 8.21 asks a proxy for a WebSocket by ws://. */
const SCHEMES: ReadonlyMap<string, 'http' | 'https'> = new Map([
  ['http', 'http'],
  ['https', 'https'],
  ['ws', 'http'],
  ['wss', 'https'],
])
/** Characters that neither a host nor a port can contain, and that parsers disagree about. */
const NEVER_IN_AUTHORITY = /[@%\\/?#\s"<>^`{|}]/

/** `host:port`, port required. A string says why it is malformed. */
export function parseConnectTarget(text: string): Target | string {
  const authority = parseAuthority(text)
  if (typeof authority === 'string') return authority
  const { host, isIp, port } = authority
  if (port === null) return 'CONNECT needs a port, e.g. api.example.com:443'
  return { form: 'connect', host, isIp, port, scheme: null, portNamed: true, path: null, query: '' }
}

/** `http://host[:port]/path?query`, https, or the same as ws or wss. A string says why it is malformed. */
export function parseAbsoluteTarget(text: string): Target | string {
  const [beginning = '', name] = SCHEME.exec(text) ?? []
  if (name === undefined) return 'the target is neither host:port, nor a path, nor an http:// URL'
  const scheme = SCHEMES.get(name.toLowerCase())
  if (scheme === undefined)
    return 'only http:// and https:// can be asked for in this form, or ws:// and wss://'
  const rest = text.slice(beginning.length)
  if (rest.includes('#')) return 'the target holds a fragment'
  const end = rest.search(/[/?]/)
  const authority = parseAuthority(end === -1 ? rest : rest.slice(0, end))
  if (typeof authority === 'string') return authority
  return withPath('absolute', authority, scheme, end === -1 ? '' : rest.slice(end))
}

/** `/path?query` with the Host header that names the destination. A string says why it is malformed. */
export function parseRelayTarget(text: string, hostHeader: string): Target | string {
  const authority = parseAuthority(hostHeader)
  if (typeof authority === 'string') return authority
  if (!text.startsWith('/')) return 'only a path can be relayed'
  if (text.includes('#')) return 'the target holds a fragment'
  return withPath('relay', authority, null, text)
}

/** `host[:port]` of a target or a Host header. A string says why it is malformed. */
export function parseAuthority(text: string): Authority | string {
  if (NEVER_IN_AUTHORITY.test(text)) return 'the host holds a character that no host has'
  const bracket = text.lastIndexOf(']')
  const colon = text.indexOf(':', bracket + 1)
  const hostText = colon === -1 ? text : text.slice(0, colon)
  let port: number | null = null
  if (colon !== -1) {
    const digits = text.slice(colon + 1)
    if (!PORT.test(digits) || Number(digits) > 65535)
      return 'the port is not a number from 1 to 65535'
    port = Number(digits)
  }
  const host = canonicalHost(ASCII.test(hostText) ? hostText : fromUtf8(hostText))
  return typeof host === 'string' ? host : { host: host.name, isIp: host.isIp, port }
}

/** True when a Host header names the target; it may omit the port, as clients do. */
export function hostHeaderMatches(header: string, target: Target): boolean {
  const authority = parseAuthority(header)
  if (typeof authority === 'string') return false
  return authority.host === target.host && (authority.port ?? target.port) === target.port
}

/** `host:port` for headers and messages, IPv6 in brackets. */
export function formatAuthority(host: string, port: number | null): string {
  const bare = host.includes(':') ? `[${host}]` : host
  return port === null ? bare : `${bare}:${port}`
}

function withPath(
  form: EntryForm,
  { host, isIp, port }: Authority,
  scheme: Target['scheme'],
  rest: string,
): Target {
  const question = rest.indexOf('?')
  const query = question === -1 ? '' : rest.slice(question)
  const rawPath = question === -1 ? rest : rest.slice(0, question)
  const path = rawPath === '' ? '/' : rawPath
  const portNamed = port !== null || scheme !== null
  return {
    form,
    host,
    isIp,
    port: port ?? DEFAULT_PORTS[scheme ?? 'https'],
    scheme,
    portNamed,
    path,
    query,
  }
}

/** Heads are kept as latin1; non-ASCII bytes of a host are read as UTF-8. */
function fromUtf8(latin1: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(latin1, 'latin1'))
  } catch {
    // not UTF-8: continue with a character that no host allows
    return '\ufffd'
  }
}
