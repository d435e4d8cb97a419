/**
 * Runs the gateway's own services in grpc-js, over connections within the process. The forwarding path treats them as
 * one more peer, so the same checks apply. Each tenant has its own connections, because a thousand cancelled calls end
 * a connection. The caller's identity reaches them in metadata that only the gateway can set.
 */
import { surviveLostStreams } from '@clawmesh/agent-sdk/calls'
import type { PeerCertificate } from '@clawmesh/agent-sdk/mesh'
import { MESH_SERVICE, METADATA_DELEGATION, MeshError } from '@clawmesh/proto'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { createLimits } from '../../limits/create-limits.ts'
import { type Call, meshMetadata } from '../call.ts'
import type { UpstreamSession } from '../upstream/session.ts'
import type { LastingServices } from './gateway-services.ts'
import {
  createOwnCalls,
  METADATA_FINGERPRINT,
  METADATA_NOT_AFTER,
  METADATA_OWN_CALL,
  type OwnCall,
  type OwnCalls,
} from './own-calls.ts'
import { createSessionPools } from './session-pools.ts'

export interface OwnServices extends Pick<OwnCalls, 'begin' | 'end'> {
  /**
   * A session to the services, with a place reserved for one stream. @throws MeshError MESH_RATE_LIMITED,
   * MESH_LIMIT_CONCURRENCY
   */
  acquire(certificate: PeerCertificate, method: string): UpstreamSession | Promise<UpstreamSession>
  /** The metadata that describes the caller to the services. */
  metadata(own: OwnCall, call: Call): string[]
  /** Health answers NOT_SERVING from now on. */
  drain(): void
  close(): void
}

/** Connections per tenant, and streams per connection, which is the maximum of the server. */
const MAX_SESSIONS = 16
const MAX_STREAMS = 100
/** Each agent that holds tasks keeps one such stream open. */
const FOLLOW_TREES = `${MESH_SERVICE}/FollowTrees`
/**
 * @param addServices adds the services to the server
 * @param ownId the gateway's SPIFFE ID
 * @param callsPerMinute per caller; the burst is a tenth of it
 */
export async function startOwnServices(
  addServices: (server: Server, calls: OwnCalls) => LastingServices,
  ownId: string,
  callsPerMinute: number,
): Promise<OwnServices> {
  const server = new Server({
    'grpc.enable_channelz': 0,
    'grpc.max_concurrent_streams': MAX_STREAMS,
    'grpc.max_receive_message_length': 65_536,
  })
  surviveLostStreams(server)
  const calls = createOwnCalls()
  const lasting = addServices(server, calls)
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  const sessions = createSessionPools((far) => injector.injectConnection(far), ownId)
  // counted in this process alone: health must answer while a shared counter is unavailable
  const rates = createLimits()

  return {
    acquire({ identity }, method) {
      const burst = Math.ceil(callsPerMinute / 10)
      const retryAfterMs = rates.take(identity.id, callsPerMinute, burst)
      if (retryAfterMs !== null)
        throw new MeshError(
          'MESH_RATE_LIMITED',
          `${callsPerMinute} calls per minute to the gateway itself are allowed to this caller`,
          { retryAfterMs },
        )
      // long-lived streams have their own connections, so that they leave room for other calls
      const stays = method === FOLLOW_TREES
      const tenant = `${identity.kind === 'agent' ? identity.tenant : ''}${stays ? ' follows' : ''}`
      return sessions.acquire(tenant, stays ? MAX_SESSIONS * 4 : MAX_SESSIONS)
    },
    begin: calls.begin,
    end: calls.end,
    metadata({ id, certificate }, call) {
      const { identity } = certificate
      const tenant = identity.kind === 'agent' ? identity.tenant : ''
      return [
        ...meshMetadata(call, identity.id, tenant),
        METADATA_OWN_CALL,
        id,
        METADATA_FINGERPRINT,
        certificate.fingerprint,
        METADATA_NOT_AFTER,
        String(certificate.notAfter.getTime()),
        ...(call.chain.token === null ? [] : [METADATA_DELEGATION, call.chain.token]),
      ]
    },
    drain: () => lasting.stop(),
    close() {
      sessions.close()
      injector.destroy()
      server.forceShutdown()
    },
  }
}
