/**
 * The gateway's own services, served by grpc-js over a connection within the process. They are one more
 * peer to the forwarding path: what holds for a delegated call holds for them.
 * The caller reaches them as metadata that only the gateway can set.
 */
import { once } from 'node:events'
import { connect } from 'node:http2'
import { duplexPair } from 'node:stream'
import type { HealthService, PeerCertificate } from '@clawmesh/agent-sdk'
import { METADATA_DELEGATION, MeshError } from '@clawmesh/proto'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { type Call, meshMetadata } from '../call.ts'
import { type UpstreamSession, wrapSession } from '../upstream/session.ts'

export interface OwnServices {
  /** The session to the services, with a place kept for one stream. */
  acquire(): UpstreamSession
  /** What the services are told about the caller. */
  metadata(certificate: PeerCertificate, call: Call): string[]
  /** Health answers NOT_SERVING from now on. */
  drain(): void
  close(): void
}

export const METADATA_FINGERPRINT = 'x-mesh-caller-fingerprint'
export const METADATA_NOT_AFTER = 'x-mesh-caller-not-after'

/** @param addServices puts the services on the server. @param ownId the gateway's SPIFFE ID. */
export async function startOwnServices(
  addServices: (server: Server) => HealthService,
  ownId: string,
): Promise<OwnServices> {
  const server = new Server({
    'grpc.enable_channelz': 0,
    'grpc.max_receive_message_length': 65_536,
  })
  const health = addServices(server)
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  const [near, far] = duplexPair()
  injector.injectConnection(far)
  const session = connect('http://self', { createConnection: () => near })
  session.on('error', () => {})
  await once(session, 'remoteSettings')
  const wrapped = wrapSession(session, {
    peerId: ownId,
    certificate: null,
    ip: null,
    port: null,
    notAfterMs: Number.POSITIVE_INFINITY,
    idleMs: Number.POSITIVE_INFINITY,
    pingMs: 60_000,
    ageMs: 0,
    onClose: () => {},
  })
  session.unref()

  return {
    acquire() {
      if (!wrapped.reserve()) throw new MeshError('MESH_LIMIT_CONCURRENCY')
      return wrapped
    },
    metadata(certificate, call) {
      const { identity } = certificate
      const tenant = identity.kind === 'agent' ? identity.tenant : ''
      return [
        ...meshMetadata(call, identity.id, tenant),
        METADATA_FINGERPRINT,
        certificate.fingerprint,
        METADATA_NOT_AFTER,
        String(certificate.notAfter.getTime()),
        ...(call.chain.token === null ? [] : [METADATA_DELEGATION, call.chain.token]),
      ]
    },
    drain: () => health.stop(),
    close() {
      wrapped.destroy()
      injector.destroy()
      server.forceShutdown()
    },
  }
}
