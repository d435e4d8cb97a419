/** One call of a tool: the agent's calls, and the ways in which it ends early. */
import type { Caller } from '@clawmesh/agent-sdk/calls'
import type { MeshError } from '@clawmesh/proto'
import type { ToolResult } from '@clawmesh/proto/tools'

/** How far a call is. The words are a peer's: one plain line. */
export interface Progress {
  /** Between 0 and 1; null where it is not known. */
  readonly fraction: number | null
  readonly note: string
}

export interface ToolCall {
  /** Makes calls in the name of the client, through all checks of the port. */
  readonly caller: Caller
  /** Of the client. */
  readonly tenant: string
  /** Aborts when the request is cancelled, or its client has gone: a task that it waits for is cancelled. */
  readonly cancelled: AbortSignal
  /** Aborts when the gateway ends: the answer names the task, which goes on. */
  readonly released: AbortSignal
  onProgress(progress: Progress): void
  /** Of a refusal: its hint is for the operator. */
  onError(error: MeshError): void
}

/** Null when the request was cancelled, so that no answer is awaited. */
export type RunTool = (args: unknown, call: ToolCall) => Promise<ToolResult | null>
