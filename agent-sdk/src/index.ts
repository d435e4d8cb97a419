/**
 * The first door of @clawmesh/agent-sdk: what the author of a skill needs. An agent delegates, serves skills, keeps its
 * tasks and fetches. The parts of a mesh (identities, TLS, peer checks) enter by `@clawmesh/agent-sdk/mesh`.
 */

export type { AgentIdentity, ErrorCode, MeshErrorOptions, OwnCode } from '@clawmesh/proto'
export { isErrorCode, MeshError } from '@clawmesh/proto'
export { createAgent } from './agent/agent.ts'
export type { Agent } from './agent/agent-interface.ts'
export type { AgentOptions } from './agent/agent-options.ts'
export type { AgentState } from './agent/agent-state.ts'
export type { AllowedPeer, Explanation, WhoAmI } from './agent/gateway-answers.ts'
export type { TraceExport } from './agent/open-spans.ts'
export type { DelegateOptions, Delegation } from './client/delegation.ts'
export type { Patience } from './client/peer-client.ts'
export type { Narrowing } from './client/propagation.ts'
export type { Artifact, TaskResult } from './client/task-result.ts'
export type { DescribeOptions, TraceOptions } from './client/trace-options.ts'
export type { AgentFetch } from './egress/agent-fetch.ts'
export type { EgressRelay, EgressRelayOptions } from './egress/relay/egress-relay.ts'
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
export type { JsonSchema } from './schema/json-schema.ts'
export type { SkillSchema } from './schema/value-schema.ts'
export type { AcceptFrom } from './server/caller-gate.ts'
export type { Serving } from './server/serve.ts'
export type { AdditionalService, ServeOptions } from './server/serve-options.ts'
export type { MemoryTaskStoreOptions } from './tasks/memory-task-store.ts'
export { createMemoryTaskStore } from './tasks/memory-task-store.ts'
export type { Answer, Skill, SkillWithOptions, Task, TaskContext } from './tasks/skill.ts'
export type { SqliteTaskStoreOptions } from './tasks/sqlite-task-store.ts'
export { createSqliteTaskStore } from './tasks/sqlite-task-store.ts'
export type { TaskChain } from './tasks/task-chain.ts'
export type { SkillDescription } from './wire/skill-codec.ts'
