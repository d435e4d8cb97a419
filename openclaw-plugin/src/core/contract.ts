/**
 * What the copies of this plugin share: OpenClaw loads its modules two or three times in one process, starts the service in one copy,
 * and runs the tools of an agent's turn in another. Types alone, so that nothing is loaded.
 */
import type { ToolName } from '@clawmesh/proto/tools'
import type { Host } from '../host/host.ts'

/** One call of a tool. */
export interface ToolCall {
  readonly tool: ToolName | 'mesh_ask'
  readonly params: unknown
  readonly agentId: string | null
  readonly sessionKey: string | null
  /** Of the turn, by its hook; null outside of turns. */
  readonly traceparent: string | null
  readonly workspaceDir: string | null
  readonly signal: AbortSignal | null
  onProgress(note: string): void
}

export interface ToolAnswer {
  readonly text: string
  readonly isError: boolean
  readonly details: Readonly<Record<string, unknown>>
}

/** A call that a hook may stop. */
export interface GuardedCall {
  readonly tool: string
  readonly params: Readonly<Record<string, unknown>>
  readonly sessionKey: string | null
}

export interface Mesh {
  /** The service was started. Returns at once: what it needs of the network it does by itself. */
  begin(host: Host): void
  /** The service was stopped. A start that follows within a minute takes over what is here, tasks included. */
  release(host: Host): void
  /** True while a turn that serves a peer has that conversation. */
  servesIn(sessionKey: string | null): boolean
  /** A run that a turn has started is part of it. */
  adopt(sessionKey: string, childKey: string): void
  run(call: ToolCall): Promise<ToolAnswer>
  /** Why the call may not be made, for the model; null when it may. */
  guard(call: GuardedCall): Promise<string | null>
  close(): Promise<void>
}
