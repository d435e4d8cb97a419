/**
 * All sessions to all peers. Kept apart by the caller's tenant, so that what one tenant does to a session
 * never ends another's streams. Picks the least loaded address, avoids those that failed, asks DNS again
 * when the answer has outlived its TTL, and opens another session when one is full.
 */
import type { IdentityStore, Log } from '@clawmesh/agent-sdk'
import type { SpiffeTemplate } from '@clawmesh/proto'
import type { Resolver } from '../../resolve/resolver.ts'
import type { RevocationJudge } from '../../revocation/judge.ts'
import type { Metrics } from '../../telemetry/metrics-port.ts'
import type { ChainHeaders } from '../call.ts'
import type { Route } from '../route.ts'
import { createGroup, type Group } from './group.ts'
import type { UpstreamSession } from './session.ts'

export type PeerRoute = Extract<Route, { kind: 'peer' }>

export interface UpstreamsOptions {
  readonly identity: IdentityStore
  readonly spiffe: SpiffeTemplate
  readonly resolver: Resolver
  readonly metrics: Metrics
  readonly log: Log
  /** Default: nothing is revoked. */
  readonly revocations?: Pick<RevocationJudge, 'certificate'>
  /** For TCP, TLS and HTTP/2 together, in milliseconds. Default 10 000. */
  readonly dialTimeoutMs?: number
  /** An unused session is closed after this, in milliseconds. Default 5 minutes. */
  readonly idleMs?: number
  /** In milliseconds. Default 30 000. */
  readonly pingMs?: number
  /** After this a session takes no more streams, in milliseconds; 0 for never, the default. */
  readonly ageMs?: number
}

export interface Upstreams {
  /**
   * A session to the peer with a place kept for one stream: open it or release it.
   * Synchronous when one is at hand.
   * @param failed not this one, and if there is another address, not that one
   * @throws MeshError MESH_PEER_*, MESH_LIMIT_CONCURRENCY, MESH_REVOCATION_STALE
   */
  acquire(
    tenant: string,
    route: PeerRoute,
    about: Pick<ChainHeaders, 'delegationId' | 'replica'>,
    failed?: UpstreamSession,
  ): UpstreamSession | Promise<UpstreamSession>
  close(): void
}

const SWEEP_MS = 60_000

export function createUpstreams(options: UpstreamsOptions): Upstreams {
  /** By tenant, then by name and port: no key is put together for a call. */
  const tenants = new Map<string, Map<string, Group>>()
  const settings = {
    ...options,
    dialTimeoutMs: options.dialTimeoutMs ?? 10_000,
    idleMs: options.idleMs ?? 300_000,
    pingMs: options.pingMs ?? 30_000,
    ageMs: options.ageMs ?? 0,
  }
  // a new certificate or bundle is for new sessions; calls in flight end on the old ones
  const unfollow = options.identity.onChange(() => {
    for (const groups of tenants.values()) for (const group of groups.values()) group.retire()
  })
  const sweep = setInterval(() => {
    for (const [tenant, groups] of tenants) {
      for (const [key, group] of groups) if (group.idle()) groups.delete(key)
      if (groups.size === 0) tenants.delete(tenant)
    }
  }, SWEEP_MS)
  sweep.unref()

  return {
    acquire(tenant, route, about, failed) {
      let groups = tenants.get(tenant)
      if (groups === undefined) {
        groups = new Map()
        tenants.set(tenant, groups)
      }
      let group = groups.get(route.key)
      if (group === undefined) {
        group = createGroup(route, settings)
        groups.set(route.key, group)
      }
      return group.acquire(about, failed)
    },
    close() {
      unfollow()
      clearInterval(sweep)
      for (const groups of tenants.values()) for (const group of groups.values()) group.destroy()
      tenants.clear()
    },
  }
}
