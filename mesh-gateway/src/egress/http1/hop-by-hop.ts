/** The hop-by-hop fields, which are not forwarded (RFC 9110, section 7.6.1), in both directions. */
import type { Field } from './head.ts'

const ALWAYS: ReadonlySet<string> = Object.freeze(
  new Set([
    'connection',
    'proxy-connection',
    'keep-alive',
    'te',
    'transfer-encoding',
    'upgrade',
    'proxy-authorization',
    'proxy-authenticate',
    'proxy-authentication-info',
    'http2-settings',
    'trailer',
  ]),
)

/**
 * Fields that may not be trailers: they would change how the body was read, its sender (RFC 9110, section 6.5.1), or
 * the gateway's own fields.
 */
const NEVER_TRAILING: ReadonlySet<string> = Object.freeze(
  new Set([
    'content-length',
    'content-encoding',
    'content-type',
    'content-range',
    'host',
    'authorization',
    'cookie',
    'set-cookie',
    'cache-control',
    'expect',
    'range',
    'location',
    'x-request-id',
    'traceparent',
  ]),
)

export function isHopByHop(name: string, nominated: readonly string[]): boolean {
  return ALWAYS.has(name) || (nominated.length > 0 && nominated.includes(name))
}

/** The trailers that may be forwarded, one line each. */
export function trailerLines(trailers: readonly Field[]): string {
  let lines = ''
  for (const { name, rawName, value } of trailers)
    if (!ALWAYS.has(name) && !NEVER_TRAILING.has(name) && !name.startsWith('x-mesh-'))
      lines += `${rawName}: ${value}\r\n`
  return lines
}
