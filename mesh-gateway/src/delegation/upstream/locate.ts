/**
 * Finds the addresses of a peer in DNS: SRV (RFC 2782) `_grpc._tcp.<name>`; without SRV, the addresses of the name with
 * the default port of agents. A caller may only name a port of the SRV records or of the configuration: any other would
 * let it scan ports of a network that only the gateway reaches.
 */
import { MeshError } from '@clawmesh/proto'
import { interleaveFamilies } from '../../net/happy-eyeballs.ts'
import { ResolveFailure, type Resolver } from '../../resolve/resolver.ts'

export interface Endpoint {
  readonly ip: string
  readonly port: number
  /** The SRV priority: the lowest reachable one is used. */
  readonly priority: number
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

/**
 * @param port the port that the caller names; null: DNS gives it
 * @param peerPorts ports that callers may name besides those of SRV records
 * @throws MeshError MESH_PEER_UNRESOLVED, MESH_PEER_PORT_REFUSED
 */
export async function locate(
  resolver: Resolver,
  host: string,
  port: number | null,
  peerPorts: readonly number[],
): Promise<Located> {
  try {
    if (port !== null && peerPorts.includes(port)) return await byAddress(resolver, host, port, 0)
    const served = await byService(resolver, host, port)
    if (served !== null) return served
    if (port !== null) throw new MeshError('MESH_PEER_PORT_REFUSED')
    return await byAddress(resolver, host, AGENT_PORT, 0)
  } catch (cause) {
    if (!(cause instanceof ResolveFailure)) throw cause
    throw new Unresolved(describe(host, cause), cause)
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
  const located = await Promise.allSettled(
    services
      .slice(0, MAX_SERVICES)
      .map(({ host: target, port, priority }) =>
        byAddress(resolver, absolute(target), port, priority),
      ),
  )
  const good = located.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  if (good.length === 0) throw worst(located)
  return {
    endpoints: good.flatMap((one) => one.endpoints),
    ttlMs: Math.min(
      ...good.map((one) => one.ttlMs),
      ...services.map((service) => service.ttlMs ?? Number.POSITIVE_INFINITY),
    ),
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

function describe(host: string, failure: ResolveFailure): string {
  const words = {
    'not-found': 'has no SRV, A or AAAA record',
    timeout: 'was not answered by DNS in time',
    failed: 'could not be looked up',
    'too-many': 'was not looked up: too many names wait already',
    busy: 'was not looked up: too many names wait already',
    'no-descriptors': 'was not looked up: the gateway has no file descriptor left',
  }
  return `${host} ${words[failure.kind]}`
}
