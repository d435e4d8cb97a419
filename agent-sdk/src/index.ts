/** The door of @clawmesh/agent-sdk. */

export type { LoadIdentityOptions } from './identity/load-identity.ts'
export { loadIdentity, readTrustDomain } from './identity/load-identity.ts'
export type { OpenIdentityOptions } from './identity/open-identity.ts'
export { openIdentity } from './identity/open-identity.ts'
export type {
  IdentitySnapshot,
  IdentityStore,
  ReloadOutcome,
  TrustedRoot,
} from './identity/snapshot.ts'
export type { Log } from './log.ts'
export { silentLog } from './log.ts'
export type { HealthService } from './server/health-service.ts'
export { createHealthService } from './server/health-service.ts'
export type { CallConnection, CallListener, CallListenerOptions } from './tls/call-listener.ts'
export { listenForCalls } from './tls/call-listener.ts'
export type { FollowingServer } from './tls/follow-identity.ts'
export { followIdentity } from './tls/follow-identity.ts'
export type { ChannelCredentialsOptions } from './tls/grpc-credentials.ts'
export { channelCredentials, serverCredentials } from './tls/grpc-credentials.ts'
export type { PeerCertificate, ReadCertificateOptions } from './tls/peer-certificate.ts'
export { judgePeer } from './tls/peer-certificate.ts'
export type { PeerCheck } from './tls/peer-checks.ts'
export { checkAgent, checkFromGateway, checkIsAgent, checkIsGateway } from './tls/peer-checks.ts'
export { readPeer } from './tls/read-peer.ts'
export type {
  ClientTlsChoices,
  ClientTlsOptions,
  ServerTlsChoices,
  ServerTlsOptions,
} from './tls/tls-options.ts'
export { clientTlsOptions, serverTlsOptions } from './tls/tls-options.ts'
export { handshakeFailure } from './tls/verify-errors.ts'
