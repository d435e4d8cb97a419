/** What the bytes of a connection say about the client behind a proxy. */
import type { ClientAddress } from '../client-address.ts'

export type ProxyFault =
  /** The connection comes from an address that is not listed as a proxy's. */
  | 'proxy-unlisted'
  /** It does not begin with a header. */
  | 'proxy-missing'
  /** The header is cut short, too long, or not as the specification has it. */
  | 'proxy-malformed'
  /** The header names no client over TCP: LOCAL, UNKNOWN, a Unix socket, UDP. */
  | 'proxy-without-client'
  /** The header was not whole in time. */
  | 'proxy-timeout'

/** A client as a proxy names it. */
export interface ProxiedClient extends ClientAddress {
  readonly ip: string
  readonly port: number
  /** The port of the proxy to which the client has connected. */
  readonly proxyPort: number
}

export type HeaderReading =
  /** The bytes are the beginning of a header. */
  | { readonly kind: 'more' }
  | { readonly kind: 'fault'; readonly fault: ProxyFault; readonly detail: string }
  /** `length` of the header, in bytes. */
  | { readonly kind: 'header'; readonly length: number; readonly client: ProxiedClient }

export const MORE: HeaderReading = Object.freeze({ kind: 'more' })

export function faulty(fault: ProxyFault, detail: string): HeaderReading {
  return { kind: 'fault', fault, detail }
}

export function malformed(detail: string): HeaderReading {
  return faulty('proxy-malformed', detail)
}

/** The proxy speaks for itself, or for a client that has no address over TCP. */
export function withoutClient(detail: string): HeaderReading {
  return faulty('proxy-without-client', detail)
}
