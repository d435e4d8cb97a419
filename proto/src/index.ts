/** What two parties of a mesh must agree on. Imports nothing of ours. */

export { accessHint, writeHint } from './access-hint.ts'
export type { ErrorCode, ErrorRow, GrpcStatus } from './codes.ts'
export { ERRORS, GRPC_STATUS, isErrorCode } from './codes.ts'
export type { Actor, CertificateClaim, DelegationClaims } from './delegation-claims.ts'
export { actorsOf, DELEGATION_TOKEN_TYPE } from './delegation-claims.ts'
export { canonicalName } from './distinguished-name.ts'
export { isDnsLabel, isDnsName } from './dns-name.ts'
export { DURATION_FORM, parseDuration, parseFlagDuration } from './duration.ts'
export type { Confirmation, EgressClaims } from './egress-claims.ts'
export { EGRESS_AUDIENCE, EGRESS_TOKEN_TYPE } from './egress-claims.ts'
export { errorCode } from './error-code.ts'
export type { MeshErrorOptions, OwnCode } from './mesh-error.ts'
export { MeshError } from './mesh-error.ts'
export * from './metadata.ts'
export { nearest } from './nearest.ts'
export type { Peer } from './peer-name.ts'
export { formatPeerName, parsePeerName } from './peer-name.ts'
export { printable, printableJson, printableLines } from './printable.ts'
export { Secret } from './secret.ts'
export { DELEGATION_SERVICE, HEALTH_SERVICE, MESH_SERVICE } from './service-names.ts'
export type {
  AgentIdentity,
  GatewayIdentity,
  Identity,
  SpiffeTemplate,
  SpiffeTemplateOptions,
} from './spiffe-id.ts'
export { createSpiffeTemplate, spiffeTemplateFaults } from './spiffe-id.ts'
export { statusMessage } from './status-message.ts'
export type { Timestamp } from './timestamp.ts'
export { fromTimestamp, toTimestamp } from './timestamp.ts'
export type { TraceContext } from './trace-context.ts'
export {
  childTrace,
  formatTraceparent,
  lastTraceparent,
  parseTraceparent,
  startTrace,
} from './trace-context.ts'
export { isUuidV7, uuidV7 } from './uuid-v7.ts'
