/**
 * Finds the addresses of a peer: those that delegation.peers of the configuration gives it, else in DNS: SRV (RFC 2782) `_grpc._tcp.<name>`; without SRV, the addresses of the name with
 * the default port of agents. A caller may only name a port of the SRV records or of the configuration: any other would
 * let it scan ports of a network that only the gateway reaches.
 */
import { isIP } from 'node:net'
import { MeshError } from '@clawmesh/proto'
import { interleaveFamilies } from '../../net/happy-eyeballs.ts'
import { parseListenAddress } from '../../net/listen-address.ts'
import { ResolveFailure, type Resolver } from '../../resolve/resolver.ts'

export interface Endpoint {
  readonly ip: string
  readonly port: number
  /** The SRV priority: the lowest reachable one is used. */
  readonly priority: number
}

/** The key of an address in maps. */
export function keyOf({ ip, port }: Pick<Endpoint, 'ip' | 'port'>): string {
  return `${ip} ${port}`
}

export interface Located {
  readonly endpoints: readonly Endpoint[]
  readonly ttlMs: number
}

/** The name does not exist (`gone`), or DNS fails. */
export class Unresolved extends MeshError {
  readonly gone: boolean

  constructor(message: string, cause: ResolveFailure) {
    // either way, the addresses known from before stay in use
    const left = cause.kind !== 'no-descriptors'
    super(left ? 'MESH_PEER_UNRESOLVED' : 'MESH_GATEWAY_NO_DESCRIPTORS', message, { cause })
    this.gone = cause.kind === 'not-found'
  }
}

const SERVICE_PREFIX = '_grpc._tcp.'
export const AGENT_PORT = 7443
const MAX_SERVICES = 64
const FOREVER_MS = Number.POSITIVE_INFINITY
/** When a host name of delegation.peers is asked for again that could not be looked up, in milliseconds. */
const FAILED_MS = 5_000

/**
 * @param port the port that the caller names; null: DNS gives it
 * @param peerPorts ports that callers may name besides those of SRV records
 * @param configured the peer's entry in delegation.peers, which takes the place of DNS; null without one
 * @throws MeshError MESH_PEER_UNRESOLVED, MESH_PEER_PORT_REFUSED
 */
export async function locate(
  resolver: Resolver,
  host: string,
  port: number | null,
  peerPorts: readonly number[],
  configured: readonly string[] | null = null,
): Promise<Located> {
  try {
    if (configured !== null) return await byEntry(resolver, configured, port)
    if (port !== null && peerPorts.includes(port)) return await byAddress(resolver, host, port, 0)
    const served = await byService(resolver, host, port)
    if (served !== null) return served
    if (port !== null) throw new MeshError('MESH_PEER_PORT_REFUSED')
    return await byAddress(resolver, host, AGENT_PORT, 0)
  } catch (cause) {
    if (!(cause instanceof ResolveFailure)) throw cause
    throw new Unresolved(describe(host, cause, configured !== null), cause)
  }
}

async function byAddress(
  resolver: Resolver,
  host: string,
  port: number,
  priority: number,
): Promise<Located> {
  const addresses = await resolver.addresses(host)
  return {
    endpoints: interleaveFamilies(addresses, ({ ip }) => ip).map(({ ip }) => ({
      ip,
      port,
      priority,
    })),
    ttlMs: Math.min(...addresses.map(({ ttlMs }) => ttlMs)),
  }
}

/** Null without SRV records: then the addresses decide. A DNS failure is not "none": that would dial another port. */
async function byService(
  resolver: Resolver,
  host: string,
  port: number | null,
): Promise<Located | null> {
  const all = await resolver.services(SERVICE_PREFIX + host).catch((cause: unknown) => {
    if (cause instanceof ResolveFailure && cause.kind === 'not-found') return []
    throw cause
  })
  const services = port === null ? all : all.filter((service) => service.port === port)
  if (services.length === 0) return null
  const { endpoints, ttlMs } = await reachable(
    services
      .slice(0, MAX_SERVICES)
      .map(({ host: target, port, priority }) =>
        byAddress(resolver, absolute(target), port, priority),
      ),
  )
  const ttlsMs = services.map((service) => service.ttlMs ?? FOREVER_MS)
  return { endpoints, ttlMs: Math.min(ttlMs, ...ttlsMs) }
}

/** The addresses of an entry of delegation.peers: IP addresses stay until the entry changes, host names are looked up. */
async function byEntry(
  resolver: Resolver,
  entry: readonly string[],
  port: number | null,
): Promise<Located> {
  const targets = entry
    .map((text) => parseListenAddress(text))
    .filter((target) => typeof target !== 'string')
    .filter((target) => port === null || target.port === port)
  if (targets.length === 0) throw new MeshError('MESH_PEER_PORT_REFUSED')
  const { endpoints, ttlMs, failed } = await reachable(
    targets.map(({ host, port }) =>
      isIP(host) === 0
        ? byAddress(resolver, host, port, 0)
        : { endpoints: [{ ip: host, port, priority: 0 }], ttlMs: FOREVER_MS },
    ),
  )
  return {
    endpoints: interleaveFamilies(endpoints, ({ ip }) => ip),
    ttlMs: failed === 0 ? ttlMs : Math.min(ttlMs, FAILED_MS),
  }
}

/** Those that can be looked up. @throws ResolveFailure when none can */
async function reachable(
  lookups: readonly (Located | Promise<Located>)[],
): Promise<Located & { readonly failed: number }> {
  const located = await Promise.allSettled(lookups)
  const good = located.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  if (good.length === 0) throw worst(located)
  return {
    endpoints: good.flatMap((one) => one.endpoints),
    ttlMs: Math.min(...good.map((one) => one.ttlMs)),
    failed: located.length - good.length,
  }
}

/** Of several failed lookups, a lack of descriptors in the gateway comes before an answer of DNS. */
function worst(lookups: readonly PromiseSettledResult<unknown>[]): ResolveFailure {
  const found = lookups.some(
    (one) =>
      one.status === 'rejected' &&
      one.reason instanceof ResolveFailure &&
      one.reason.kind === 'no-descriptors',
  )
  return new ResolveFailure(found ? 'no-descriptors' : 'failed')
}

/** The target of an SRV record is a full name (RFC 2782), even with one label: no search list completes it. */
function absolute(target: string): string {
  return target.includes('.') ? target : `${target}.`
}

function describe(host: string, failure: ResolveFailure, configured: boolean): string {
  const words = {
    'not-found': 'has no SRV, A or AAAA record',
    timeout: 'was not answered by DNS in time',
    failed: 'could not be looked up',
    'too-many': 'was not looked up: too many names wait already',
    busy: 'was not looked up: too many names wait already',
    'no-descriptors': 'was not looked up: the gateway has no file descriptor left',
  }
  return `${host}${configured ? ', by its host names in delegation.peers,' : ''} ${words[failure.kind]}`
}
