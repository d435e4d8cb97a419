/**
 * The door `@clawmesh/agent-sdk/calls`: what makes and takes calls of the mesh, for the gateway. It loads grpc-js, which
 * `@clawmesh/agent-sdk/mesh` does without, so that a command that makes no call starts sooner.
 */

export type { Caller, CallerOptions } from './agent/caller.ts'
export { createCaller } from './agent/caller.ts'
export type { HealthService } from './server/health-service.ts'
export { createHealthService } from './server/health-service.ts'
export type { Reflection, ReflectionOptions } from './server/reflection.ts'
export { addReflection } from './server/reflection.ts'
export type { CallConnection, CallListener, CallListenerOptions } from './tls/call-listener.ts'
export { listenForCalls } from './tls/call-listener.ts'
export type { ChannelCredentialsOptions } from './tls/grpc-credentials.ts'
export { channelCredentials, serverCredentials } from './tls/grpc-credentials.ts'
export { surviveLostStreams } from './tls/streams-already-gone.ts'
export { definition as protoDefinition } from './wire/messages.ts'
export { errorToStatus } from './wire/status-codec.ts'
