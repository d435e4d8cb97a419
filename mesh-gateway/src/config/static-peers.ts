/**
 * Peers that no DNS knows (`delegation.peers`): a static map of full peer names to their addresses. It takes the place
 * of DNS for these names only; certificates, policy and limits decide as before.
 */
import { formatPeerName, isDnsLabel, isDnsName, parsePeerName } from '@clawmesh/proto'
import { z } from 'zod'
import { formatIp, type IpBytes, looksLikeIpv4, parseIp } from '../net/ip.ts'
import { formatListenAddress } from '../net/listen-address.ts'

/** By peer name; each address is `host:port` in its canonical form. */
export type StaticPeers = Readonly<Record<string, readonly string[]>>

const MAX_NAMES = 10_000
const MAX_ADDRESSES = 64
const FORM = 'must be host:port, e.g. 10.0.0.7:7443 or [fd00::7]:7443'

/** An object of names and addresses, or the text `name=host:port,…`, in which a name may stand more than once. */
export const staticPeers = z
  .unknown()
  .default(null)
  .transform((value, context): StaticPeers | null => {
    const fault = (message: string, ...path: (string | number)[]) =>
      context.addIssue({ code: 'custom', path, message })
    if (value === null) return null
    const entries = typeof value === 'string' ? entriesOfText(value) : entriesOf(value)
    if (typeof entries === 'string') fault(entries)
    else if (entries.length > MAX_NAMES) fault(`must have ${MAX_NAMES} names at most`)
    if (typeof entries === 'string' || entries.length > MAX_NAMES) return null
    return Object.fromEntries(
      entries.map(([name, given]) => [name, readAddresses(given, fault, name)]),
    )
  })

/** The faults that need the rest of the configuration: a name that is no peer of this mesh, or that is the gateway. */
export function staticPeerFaults(
  peers: StaticPeers | null,
  { meshDomain, names }: { readonly meshDomain: string; readonly names: readonly string[] },
): { readonly key: string; readonly message: string }[] {
  return Object.keys(peers ?? {}).flatMap((name) => {
    const message = nameFault(name, meshDomain, names)
    return message === null ? [] : [{ key: `delegation.peers.${name.slice(0, 253)}`, message }]
  })
}

function nameFault(name: string, meshDomain: string, own: readonly string[]): string | null {
  if (own.includes(name)) return 'is a name of the gateway itself, in delegation.names'
  if (parsePeerName(name, meshDomain) !== null) return null
  const [tenant = '', agent = '', ...rest] = name.split('/')
  const peer =
    rest.length === 0 && isDnsLabel(tenant) && isDnsLabel(agent) ? { tenant, agent } : null
  const form = `must be a full peer name, <agent>.<tenant>.${meshDomain}, in lower case`
  return peer === null ? form : `must be the full name, ${formatPeerName(peer, meshDomain)}`
}

function entriesOf(value: unknown): readonly (readonly [string, unknown])[] | string {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return Object.entries(value)
  return 'must be an object of peer names, each with an address or a list of addresses'
}

function entriesOfText(text: string): readonly (readonly [string, unknown])[] | string {
  const peers = new Map<string, string[]>()
  for (const part of text.split(',')) {
    const [, name, address] = /^\s*([^=\s]+)=(\S+)\s*$/.exec(part) ?? []
    if (name === undefined || address === undefined)
      return 'must be name=host:port, and further ones after commas'
    peers.set(name, [...(peers.get(name) ?? []), address])
  }
  return [...peers]
}

function readAddresses(
  given: unknown,
  fault: (message: string, ...path: (string | number)[]) => void,
  name: string,
): readonly string[] {
  const at = name.slice(0, 253)
  const list: readonly unknown[] = Array.isArray(given) ? given : [given]
  if (list.length === 0) fault('must have one address at least', at)
  if (list.length > MAX_ADDRESSES) fault(`must have ${MAX_ADDRESSES} addresses at most`, at)
  const found = new Set<string>()
  for (const [index, one] of list.slice(0, MAX_ADDRESSES).entries()) {
    const path = Array.isArray(given) ? [at, index] : [at]
    const address = typeof one === 'string' ? readAddress(one) : { message: FORM }
    if ('message' in address) fault(address.message, ...path)
    else if (found.has(address.text)) fault('is given twice', ...path)
    else found.add(address.text)
  }
  return [...found]
}

/** One spelling for each address, so that no resolver reads it as another one. */
function readAddress(text: string): { readonly text: string } | { readonly message: string } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? []
  if (digits === undefined) return { message: FORM }
  const port = Number(digits)
  if (port < 1 || port > 65_535) return { message: 'must have a port from 1 to 65535' }
  const host = bracketed ?? plain ?? ''
  const ip = parseIp(host)
  if (ip !== null && (bracketed === undefined || host.includes(':')))
    return reachesOne(ip)
      ? { text: formatListenAddress({ host: formatIp(ip), port }) }
      : { message: 'must not be an unspecified, multicast or broadcast address' }
  if (bracketed !== undefined)
    return { message: 'must have an IPv6 address in its brackets, without a zone' }
  if (looksLikeIpv4(host) || !isDnsName(host))
    return { message: 'must have an IP address or a lower-case host name before the port' }
  return { text: formatListenAddress({ host, port }) }
}

/** True of an address that one machine can have: 0.0.0.0/8, multicast, 240.0.0.0/4 and `::` are none. */
function reachesOne(ip: IpBytes): boolean {
  const [first = 0] = ip
  if (ip.length === 4) return first !== 0 && first < 224
  return first !== 0xff && ip.some((byte) => byte !== 0)
}
