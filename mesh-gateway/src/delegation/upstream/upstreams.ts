/**
 * The upstream sessions to all peers, separate for each tenant of callers, so that one tenant cannot end another's
 * streams. Does load balancing: picks the least loaded address, avoids unhealthy ones, asks DNS again after its TTL,
 * and opens another session when one is full.
 */
import { MeshError } from '@clawmesh/proto'
import type { PeerState } from '../../live/peer-state.ts'
import type { ChainHeaders } from '../call.ts'
import type { PeerRoute } from '../route.ts'
import { createDials, type Dials } from './dials.ts'
import { createGroup, type Group } from './group.ts'
import { AGENT_PORT } from './locate.ts'
import { createOwnReplicaMarks } from './replica.ts'
import type { UpstreamSession } from './session.ts'
import type { UpstreamSettings, UpstreamsOptions } from './upstreams-options.ts'

export interface Upstreams {
  /**
   * A session to the peer with a place reserved for one stream, to be opened or released. Synchronous when one is
   * available.
   * @param failed a session to avoid, and its address too if there is another
   * @throws MeshError MESH_PEER_*, MESH_LIMIT_CONCURRENCY, MESH_REVOCATION_STALE; MESH_GATEWAY_DRAINING once they are closed
   */
  acquire(
    tenant: string,
    route: PeerRoute,
    about: Pick<ChainHeaders, 'delegationId' | 'replica'>,
    failed?: UpstreamSession,
  ): UpstreamSession | Promise<UpstreamSession>
  /** The number of remembered names and ports, over all tenants. */
  readonly known: number
  /** The state of each of them. @param most how many */
  peers(most: number): readonly PeerState[]
  /** Ends all sessions, and the connections that are being made. */
  close(): void
}

/** The sessions of one tenant's callers. */
interface Tenant {
  readonly groups: Map<string, Group>
  /** Shared by its groups. */
  readonly dials: Dials
  sweepAt: number
}

const SWEEP_MS = 60_000
/** Over this number of groups, unused ones are swept at once: a caller must not create groups without end. */
const SWEEP_AT = 1_024

export function createUpstreams(options: UpstreamsOptions): Upstreams {
  /** By tenant, then by name and port: a call builds no key. */
  const tenants = new Map<string, Tenant>()
  let closed = false
  const settings: UpstreamSettings = {
    ...options,
    dialTimeoutMs: options.dialTimeoutMs ?? 10_000,
    idleMs: options.idleMs ?? 300_000,
    pingMs: options.pingMs ?? 30_000,
    ageMs: options.ageMs ?? 0,
    peerPorts: options.peerPorts ?? [AGENT_PORT],
    marks: options.marks ?? createOwnReplicaMarks(),
  }
  // a new certificate or bundle applies to new sessions; open calls end on the old ones
  const unfollow = options.identity.onChange(() => {
    for (const { groups } of tenants.values()) for (const group of groups.values()) group.retire()
  })
  const timer = setInterval(() => {
    for (const [name, tenant] of tenants) {
      sweep(tenant)
      if (tenant.groups.size === 0) tenants.delete(name)
    }
  }, SWEEP_MS)
  timer.unref()

  function sweep(tenant: Tenant): void {
    const { groups } = tenant
    for (const [key, group] of groups) if (group.idle()) groups.delete(key)
    tenant.sweepAt = Math.max(SWEEP_AT, groups.size * 2)
  }

  function tenantOf(name: string): Tenant {
    const known = tenants.get(name)
    if (known !== undefined) return known
    const fresh = { groups: new Map(), dials: createDials(), sweepAt: SWEEP_AT }
    tenants.set(name, fresh)
    return fresh
  }

  return {
    acquire(tenant, route, about, failed) {
      if (closed) return Promise.reject(new MeshError('MESH_GATEWAY_DRAINING'))
      const callers = tenantOf(tenant)
      let group = callers.groups.get(route.key)
      if (group === undefined) {
        if (callers.groups.size >= callers.sweepAt) sweep(callers)
        group = createGroup(route, settings, callers.dials)
        callers.groups.set(route.key, group)
      }
      return group.acquire(about, failed)
    },
    get known() {
      return [...tenants.values()].reduce((sum, { groups }) => sum + groups.size, 0)
    },
    peers: (most) =>
      tenants
        .entries()
        .flatMap(([tenant, { groups }]) => groups.values().map((group) => stateOf(tenant, group)))
        .take(most)
        .toArray(),
    close() {
      closed = true
      unfollow()
      clearInterval(timer)
      for (const { groups } of tenants.values())
        for (const group of groups.values()) group.destroy()
      tenants.clear()
    },
  }
}

function stateOf(tenant: string, group: Group): PeerState {
  const { host: name, port } = group.route
  return { tenant, name, port, addresses: group.addresses() }
}
