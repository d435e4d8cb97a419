/** Where a server of the SDK listens: `host:port`, and whether that is this machine alone. */
import { isIPv4 } from 'node:net'

export interface ListenAddress {
  /** A name, or an address without brackets. */
  readonly host: string
  readonly port: number
}

/** @throws TypeError when it is not host:port, e.g. 127.0.0.1:7443 or [::1]:7443 */
export function parseListen(listen: string): ListenAddress {
  const [, v6, name, digits] = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(listen) ?? []
  const host = v6 ?? name
  const port = Number(digits)
  if (host === undefined || !(port <= 65_535))
    throw new TypeError('listen: must be host:port, e.g. 127.0.0.1:7443')
  return { host, port }
}

/** A host that only this machine reaches, with or without the brackets of an IPv6 address. */
export function isLoopback(host: string): boolean {
  if (host === 'localhost' || host === '::1' || host === '[::1]') return true
  return isIPv4(host) && host.startsWith('127.')
}
