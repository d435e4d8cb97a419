/** What a host of agents builds on: a tool, the context of one call, and the handle of all tools. */
import type { Agent, Log } from '@clawmesh/agent-sdk'
import type { ToolDefinition, ToolName, ToolResult } from '@clawmesh/proto/tools'

/** How far a call is. The words are a peer's: one plain line, at most 200 characters. */
export interface ToolProgress {
  /** Between 0 and 1; null where it is not known. */
  readonly fraction: number | null
  readonly note: string
}

/** What one call of a tool is made with. */
export interface ToolContext {
  readonly agent: Agent
  /**
   * Aborts when the caller no longer waits. A task that `mesh_delegate` still waits for is then cancelled at its peer. One that
   * has been handed back as `{ id, peer, state }` goes on, and so does one that `mesh_task` waits for. Once the call has
   * answered, the signal means nothing.
   */
  readonly signal?: AbortSignal
  /** The trace to continue (W3C Trace Context, section 3.2). Default: that of the task that the agent serves, or a new one. */
  readonly traceparent?: string
  /** Where files go: `mesh-results/<id>/` below it. Without it results are cut, and artifacts and binary bodies are left out. */
  readonly workspaceDir?: string
  /**
   * Which conversation or user of the host the call is for: a task is shown to the same owner only, and so is a key. Default:
   * all calls without an owner share one.
   */
  readonly owner?: string
  /** How long the call may take at most, in milliseconds, whatever `wait_seconds` says. */
  readonly maxWaitMs: number
  /**
   * `manual`: mesh_fetch gives a redirect back, and its target needs a call of its own. For a host that judges the URL of each
   * call. Default `follow`.
   */
  readonly redirects?: 'follow' | 'manual'
  /** For the operator: hints and causes, which no model reads. */
  readonly log: Log
  onProgress?(progress: ToolProgress): void
}

/** One tool. Its arguments are checked by itself, whatever the host has checked. */
export interface Tool extends ToolDefinition {
  /** Never rejects for what the world does: a refusal is a result. */
  run(args: unknown, context: ToolContext): Promise<ToolResult>
}

export interface ToolsOptions {
  /**
   * A directory for the register of the tasks that were given to peers, mode 0700, made if it is missing; several processes may
   * share it. Without it the register ends with the process.
   */
  readonly stateDir?: string
  /** How many characters of text one result holds at most. Default 20,000. */
  readonly maxTextLength?: number
  /** How many bytes of files one result leaves in the workspace at most. Default 256 MiB. */
  readonly maxFileBytes?: number
  /** For what happens after a call has answered. Default: says nothing. */
  readonly log?: Log
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
}

/** The tools of one host. Make them once for all sessions: they share the tasks that are followed. */
export interface Tools {
  readonly list: readonly Tool[]
  get(name: ToolName): Tool
  /** Lets go of what is followed, after the register is written. Tasks go on. The agents stay the host's to close. */
  close(): Promise<void>
}

/** The trace of a call, as the SDK takes it. */
export function traceOf({ traceparent }: ToolContext): { readonly traceparent?: string } {
  return traceparent === undefined ? {} : { traceparent }
}
