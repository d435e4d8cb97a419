/**
 * The second door of @clawmesh/agent-sdk: identities, TLS, peer checks and files, which the gateway shares with the SDK.
 * A skill needs none of it. `Log`, `silentLog` and the types of a call leave by both doors, so that the gateway enters by
 * this one alone.
 */

export type { AllowedPeer } from './agent/gateway-answers.ts'
export type { Delegation } from './client/delegation.ts'
export type { TaskResult } from './client/task-result.ts'
export type { RelayFound } from './egress/relay/ask-relay.ts'
export { askRelay } from './egress/relay/ask-relay.ts'
export { openRelaySecret, readRelaySecret } from './egress/relay/relay-secret.ts'
export type { RelayFault, RelayStatus } from './egress/relay/relay-status.ts'
export type { Disk, DiskOptions } from './files/disk.ts'
export { createDisk } from './files/disk.ts'
export type { FileFaultCode } from './files/file-fault.ts'
export { describeFileFault, FileFault, isUnanswered } from './files/file-fault.ts'
export type {
  Followed,
  FollowOptions,
  FollowOutcome,
  FollowWords,
  Found,
  FoundNow,
} from './files/follow.ts'
export { followFiles } from './files/follow.ts'
export type { TrailStart } from './files/link-trail.ts'
export type { Listeners } from './files/listeners.ts'
export { createListeners } from './files/listeners.ts'
export type { ReadWholeOptions } from './files/read-whole.ts'
export { readWhole } from './files/read-whole.ts'
export type { SecretFileKind } from './files/secret-file.ts'
export { makeSecret, openSecretFile, replaceSecretFile } from './files/secret-file.ts'
export type { SingleFlight } from './files/single-flight.ts'
export { singleFlight } from './files/single-flight.ts'
export type { WriteOptions } from './files/write-atomic.ts'
export { diskError, isTaken, writeAtomic, writePieces } from './files/write-atomic.ts'
export type { LoadIdentityOptions } from './identity/load-identity.ts'
export { loadIdentity, readTrustDomain } from './identity/load-identity.ts'
export type { OpenIdentityOptions } from './identity/open-identity.ts'
export { openIdentity } from './identity/open-identity.ts'
export { parseCertificates } from './identity/pem.ts'
export type { Log } from './log.ts'
export { silentLog } from './log.ts'
export { isLoopback } from './model/listen-address.ts'
export type { Part } from './model/part.ts'
export type { TaskEvent, TaskInfo, TaskState } from './model/task-event.ts'
export type { Crl } from './tls/crl/parse-crl.ts'
export { MAX_CRL_BYTES, parseCrl } from './tls/crl/parse-crl.ts'
export type { VerifiedCrl } from './tls/crl/verify-crl.ts'
export { createCrlVerifier, verifyCrl } from './tls/crl/verify-crl.ts'
export { fingerprintOf } from './tls/fingerprint.ts'
export type { FollowingServer } from './tls/follow-identity.ts'
export { followIdentity } from './tls/follow-identity.ts'
export type { GonePeerWatch } from './tls/gone-peers.ts'
export { createGonePeerWatch } from './tls/gone-peers.ts'
export type { BothEnds } from './tls/handshake-in-memory.ts'
export { handshakeInMemory } from './tls/handshake-in-memory.ts'
export type {
  IdentitySnapshot,
  IdentityStore,
  ReloadOutcome,
  TrustedRoot,
} from './tls/identity-snapshot.ts'
export { dangerousCurve } from './tls/key-curve.ts'
export type {
  CertificateLink,
  PeerCertificate,
  ReadCertificateOptions,
} from './tls/peer-certificate.ts'
export { anchorOf, canonicalSerial, judgePeer, keyIdentity } from './tls/peer-certificate.ts'
export type { PeerCheck } from './tls/peer-checks.ts'
export { checkAgent, checkFromGateway, checkIsAgent, checkIsGateway } from './tls/peer-checks.ts'
export { propertyOf } from './tls/property-of.ts'
export { readPeer } from './tls/read-peer.ts'
export type {
  ClientTlsChoices,
  ClientTlsOptions,
  ServerTlsChoices,
  ServerTlsOptions,
} from './tls/tls-options.ts'
export { clientTlsOptions, serverTlsOptions } from './tls/tls-options.ts'
export { handshakeFailure } from './tls/verify-errors.ts'
export type { CollectorCredentials } from './trace/post-spans.ts'
export type { AttributeValue, Span } from './trace/span.ts'
export { spanMethod } from './trace/span.ts'
export type { SpanExporter } from './trace/span-exporter.ts'
export { createSpanExporter } from './trace/span-exporter.ts'
