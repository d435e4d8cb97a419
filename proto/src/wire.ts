/**
 * The door `@clawmesh/proto/wire`: definitions of services and codecs of messages. It alone loads protobufjs, which a
 * command that makes no call does without.
 */
export { decodeStatusDetails, ERROR_DOMAIN, encodeStatusDetails } from './rpc-status.ts'
export type { ProtoFile } from './services.ts'
export { loadProto, messageOf, serviceOf } from './services.ts'
