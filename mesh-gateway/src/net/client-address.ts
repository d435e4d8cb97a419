/** The address of a client as the socket tells it, and the source by which clients are counted. */
import { isIPv4, isIPv6 } from 'node:net'

export interface ClientAddress {
  /** IPv4 where the client has one, also when IPv6 carries it; null over a Unix socket, or when the client had gone at once. */
  readonly ip: string | null
  readonly port: number | null
}

export interface SocketAddress {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
}

export const NO_ADDRESS: ClientAddress = Object.freeze({ ip: null, port: null })

const MAPPED = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i

/** To be asked while the connection is open: a socket that has closed does not know any more. */
export function clientAddressOf({ remoteAddress, remotePort }: SocketAddress): ClientAddress {
  if (remoteAddress === undefined) return NO_ADDRESS
  return { ip: MAPPED.exec(remoteAddress)?.[1] ?? remoteAddress, port: remotePort ?? null }
}

/**
 * What clients are counted by: the IPv4 address, or the /64 of an IPv6 address, since that much is given to one host.
 * Empty where there is no address.
 */
export function sourceOf(ip: string | null): string {
  if (ip === null) return ''
  if (isIPv4(ip) || !isIPv6(ip)) return ip
  const [bare = ''] = ip.split('%', 1)
  const [head = '', tail] = bare.split('::')
  const left = head === '' ? [] : head.split(':')
  // what `::` stands for, as far as the first four groups go
  const missing = tail === undefined ? 0 : 8 - left.length - groupsOf(tail)
  const groups = [...left, ...Array<string>(Math.max(0, missing)).fill('0')]
  if (tail !== undefined && tail !== '') groups.push(...tail.split(':'))
  const first = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16))
  return `${first.join(':')}::/64`
}

/** A dotted end counts for two. */
function groupsOf(tail: string): number {
  if (tail === '') return 0
  const groups = tail.split(':')
  return groups.length + (groups.at(-1)?.includes('.') === true ? 1 : 0)
}
