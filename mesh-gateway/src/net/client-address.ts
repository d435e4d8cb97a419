/** The address of a client by its socket, and the source by which clients are counted. */
import { isIPv4, isIPv6 } from 'node:net'

export interface ClientAddress {
  /**
   * IPv4 where the client has one, also as an IPv4-mapped address; null over a Unix socket, or when the client has
   * already left.
   */
  readonly ip: string | null
  readonly port: number | null
  /** The port of the proxy to which it has connected; absent without a proxy that names its clients. */
  readonly proxyPort?: number
}

export interface SocketAddress {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
}

export const NO_ADDRESS: ClientAddress = Object.freeze({ ip: null, port: null })

const MAPPED = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i

/** To be called while the connection is open: a closed socket has no address. */
export function clientAddressOf({ remoteAddress, remotePort }: SocketAddress): ClientAddress {
  if (remoteAddress === undefined) return NO_ADDRESS
  return { ip: MAPPED.exec(remoteAddress)?.[1] ?? remoteAddress, port: remotePort ?? null }
}

/**
 * The key by which clients are counted: the IPv4 address, or the /64 of an IPv6 address, which one host usually has.
 * Empty without an address.
 */
export function sourceOf(ip: string | null): string {
  if (ip === null) return ''
  if (isIPv4(ip) || !isIPv6(ip)) return ip
  const [bare = ''] = ip.split('%', 1)
  const [head = '', tail] = bare.split('::')
  const left = head === '' ? [] : head.split(':')
  // the groups that `::` replaces, as far as the first four groups go
  const missing = tail === undefined ? 0 : 8 - left.length - groupsOf(tail)
  const groups = [...left, ...Array<string>(Math.max(0, missing)).fill('0')]
  if (tail !== undefined && tail !== '') groups.push(...tail.split(':'))
  const first = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16))
  return `${first.join(':')}::/64`
}

/** A dotted end counts as two groups. */
function groupsOf(tail: string): number {
  if (tail === '') return 0
  const groups = tail.split(':')
  return groups.length + (groups.at(-1)?.includes('.') === true ? 1 : 0)
}
