/** The door of @clawmesh/agent-sdk. */

export type { AgentIdentity, ErrorCode, MeshErrorOptions, OwnCode } from '@clawmesh/proto'
export { isErrorCode, MeshError } from '@clawmesh/proto'
export type { Agent, PeersOptions } from './agent/agent.ts'
export { createAgent } from './agent/agent.ts'
export type { AgentOptions } from './agent/agent-options.ts'
export type { AllowedPeer, Explanation, WhoAmI } from './agent/gateway-answers.ts'
export type { DelegateOptions, Delegation } from './client/delegation.ts'
export type { Patience } from './client/peer-client.ts'
export type { Narrowing } from './client/propagation.ts'
export type { Artifact, TaskResult } from './client/task-result.ts'
export type { AgentFetch } from './egress/agent-fetch.ts'
export type { LoadIdentityOptions } from './identity/load-identity.ts'
export { loadIdentity, readTrustDomain } from './identity/load-identity.ts'
export type { OpenIdentityOptions } from './identity/open-identity.ts'
export { openIdentity } from './identity/open-identity.ts'
export { parseCertificates } from './identity/pem.ts'
export type { Log } from './log.ts'
export { silentLog, stderrLog } from './log.ts'
export type { ArtifactPart, BytesPart, Content, JsonPart, Part, TextPart } from './model/part.ts'
export type {
  ArtifactPiece,
  FailedState,
  Failure,
  TaskEvent,
  TaskFilter,
  TaskInfo,
  TaskState,
} from './model/task-event.ts'
export type {
  Beginning,
  Checkpoint,
  LeftTask,
  NewTask,
  StoredEvent,
  TaskChange,
  TaskInput,
  TaskQuery,
  TaskRecord,
  TaskStore,
} from './model/task-store.ts'
export type { AcceptFrom } from './server/caller-gate.ts'
export type { HealthService } from './server/health-service.ts'
export { createHealthService } from './server/health-service.ts'
export { addReflection } from './server/reflection.ts'
export type { Serving } from './server/serve.ts'
export type { AdditionalService, ServeOptions } from './server/serve-options.ts'
export type { MemoryTaskStoreOptions } from './tasks/memory-task-store.ts'
export { createMemoryTaskStore } from './tasks/memory-task-store.ts'
export type { Answer, Skill, SkillWithOptions, Task, TaskContext } from './tasks/skill.ts'
export type { SqliteTaskStoreOptions } from './tasks/sqlite-task-store.ts'
export { createSqliteTaskStore } from './tasks/sqlite-task-store.ts'
export type { TaskChain } from './tasks/task-chain.ts'
export type { CallConnection, CallListener, CallListenerOptions } from './tls/call-listener.ts'
export { listenForCalls } from './tls/call-listener.ts'
export type { Crl } from './tls/crl/parse-crl.ts'
export { MAX_CRL_BYTES, parseCrl } from './tls/crl/parse-crl.ts'
export type { VerifiedCrl } from './tls/crl/verify-crl.ts'
export { verifyCrl } from './tls/crl/verify-crl.ts'
export { fingerprintOf } from './tls/fingerprint.ts'
export type { FollowingServer } from './tls/follow-identity.ts'
export { followIdentity } from './tls/follow-identity.ts'
export type { ChannelCredentialsOptions } from './tls/grpc-credentials.ts'
export { channelCredentials, serverCredentials } from './tls/grpc-credentials.ts'
export type {
  IdentitySnapshot,
  IdentityStore,
  ReloadOutcome,
  TrustedRoot,
} from './tls/identity-snapshot.ts'
export type {
  CertificateLink,
  PeerCertificate,
  ReadCertificateOptions,
} from './tls/peer-certificate.ts'
export { canonicalSerial, judgePeer, keyIdentity } from './tls/peer-certificate.ts'
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
export { errorToStatus } from './wire/status-codec.ts'
