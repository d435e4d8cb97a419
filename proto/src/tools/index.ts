/**
 * The second door of @clawmesh/proto: what every door that offers the tools of the mesh to a model must agree on. Names,
 * descriptions and arguments of the tools, the shape of their results, and how the words of others are marked.
 */
export { adviceFor } from './advice.ts'
export type {
  DelegateArguments,
  FetchArguments,
  PeersArguments,
  TaskArguments,
  ToolDefinition,
  ToolName,
} from './definitions.ts'
export {
  DELEGATE_FIELDS,
  FETCH_FIELDS,
  PEERS_FIELDS,
  TASK_ACTIONS,
  TASK_FIELDS,
  TOOL_DEFINITIONS,
  TOOL_INSTRUCTIONS,
} from './definitions.ts'
export type { Field, Fields, JsonSchema, ValuesOf } from './fields.ts'
export { ArgumentFault, asArguments, readFields } from './fields.ts'
export { inTurns } from './in-turns.ts'
export type { DescribedSkill, ListPeersOptions } from './list-peers.ts'
export { listPeers } from './list-peers.ts'
export type { AllowedAgent, NamedPeer } from './named-peers.ts'
export { namedPeers } from './named-peers.ts'
export type {
  BoundedText,
  CompletedRemarks,
  CompletedTask,
  OutputPart,
  StandingTask,
} from './render-task.ts'
export {
  boundedText,
  completedResult,
  outputOf,
  questionText,
  standingResult,
} from './render-task.ts'
export type { Refusal, RefusalCode, ToolResult } from './tool-result.ts'
export { argumentsRefused, errorResult, factsOf, refusalResult } from './tool-result.ts'
export { markUntrusted, plainLineOf, plainTextOf } from './untrusted.ts'
