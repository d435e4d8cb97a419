/**
 * The part of OpenClaw's plugin API that this plugin uses, written down: OpenClaw's own declarations come with 650 MiB.
 * `npm run test:openclaw` holds it against those of the pinned version.
 */

export interface HostLogger {
  debug?: (message: string) => void
  info: (message: string) => void
  warn: (message: string) => void
  error: (message: string) => void
}

/** What a tool factory is told of the run that it makes a tool for. */
export interface HostToolContext {
  readonly workspaceDir?: string
  readonly agentId?: string
  readonly sessionKey?: string
  readonly sessionId?: string
}

export interface HostToolResult {
  readonly content: { readonly type: 'text'; readonly text: string }[]
  /** `status`, `ok`, `success`, `error`, `timedOut` and `exitCode` are OpenClaw's. */
  readonly details: unknown
}

export interface HostTool {
  readonly name: string
  readonly label: string
  readonly description: string
  /** JSON Schema. */
  readonly parameters: HostSchema
  /** Tool Search leaves it visible to the model: a call through its catalogue ends after ten seconds. */
  readonly catalogMode: 'direct-only'
  execute(
    toolCallId: string,
    params: unknown,
    signal?: AbortSignal,
    onUpdate?: (partial: HostToolResult) => void,
  ): Promise<HostToolResult>
}

export type HostSchema = Readonly<Record<string, unknown>>

export type HostToolFactory = (context: HostToolContext) => HostTool | null

export interface BeforeToolCallEvent {
  readonly toolName: string
  readonly params: Readonly<Record<string, unknown>>
  readonly runId?: string
  readonly toolCallId?: string
}

export interface HostTrace {
  readonly traceId: string
  readonly spanId?: string
  readonly traceFlags?: string
}

export interface BeforeToolCallContext {
  readonly agentId?: string
  readonly sessionKey?: string
  readonly runId?: string
  readonly toolCallId?: string
  readonly trace?: HostTrace
}

export interface BeforeToolCallResult {
  readonly block?: boolean
  readonly blockReason?: string
}

export interface HostServiceContext {
  /** The whole configuration of OpenClaw. */
  readonly config: object
  readonly stateDir: string
  readonly workspaceDir?: string
  readonly logger: HostLogger
}

export interface HostService {
  readonly id: string
  start(context: HostServiceContext): void | Promise<void>
  stop?(context: HostServiceContext): void | Promise<void>
}

/** A picture beside a prompt. */
export interface HostImage {
  readonly type: 'image'
  /** Base64. */
  readonly data: string
  readonly mimeType: string
}

export interface EmbeddedRunParams {
  readonly prompt: string
  readonly images?: HostImage[]
  readonly sessionId: string
  readonly sessionKey: string
  readonly agentId: string
  readonly runId: string
  readonly workspaceDir: string
  readonly agentDir: string
  readonly timeoutMs: number
  readonly toolsAllow: string[]
  readonly extraSystemPrompt: string
  readonly senderIsOwner: false
  readonly disableMessageTool: true
  /** OpenClaw runs interrupted turns again after a restart, of every session that it has written down. */
  readonly sessionPersistence: 'detached'
  readonly abortSignal: AbortSignal
  readonly terminalReplyExpectation: 'required'
  readonly onAgentEvent: (event: HostAgentEvent) => void
}

export interface HostAgentEvent {
  readonly stream: string
  readonly data: Readonly<Record<string, unknown>>
}

interface Payload {
  readonly text?: string
  readonly isError?: boolean
  readonly isReasoning?: boolean
  readonly isCommentary?: boolean
}

export interface EmbeddedRunResult {
  readonly payloads?: readonly Payload[]
  readonly meta: {
    readonly aborted?: boolean
    readonly error?: { readonly kind: string; readonly message: string }
    readonly agentMeta?: {
      readonly provider: string
      readonly model: string
      readonly usage?: Readonly<
        Partial<Record<'input' | 'output' | 'cacheRead' | 'cacheWrite', number>>
      >
    }
  }
  readonly diagnosticTrace?: { readonly traceId: string }
}

export interface HostApi<Config extends object = object> {
  readonly registrationMode: string
  /** The file of the plugin, not of the copy of it that runs. */
  readonly source: string
  readonly pluginConfig?: Readonly<Record<string, unknown>>
  readonly config: Config
  readonly logger: HostLogger
  readonly runtime: {
    readonly agent: {
      runEmbeddedAgent(
        params: EmbeddedRunParams & { readonly config: Config },
      ): Promise<EmbeddedRunResult>
      resolveAgentDir(config: Config, agentId: string): string
      resolveAgentWorkspaceDir(config: Config, agentId: string): string
    }
  }
  registerTool(factory: HostToolFactory, options: { readonly name: string }): void
  registerService(service: HostService): void
  on(
    hook: 'before_tool_call',
    handler: (
      event: BeforeToolCallEvent,
      context: BeforeToolCallContext,
    ) => BeforeToolCallResult | undefined | Promise<BeforeToolCallResult | undefined>,
  ): void
  on(hook: 'gateway_stop', handler: () => void | Promise<void>): void
  on(
    hook: 'subagent_spawned',
    handler: (
      event: { readonly childSessionKey: string },
      context: { readonly requesterSessionKey?: string },
    ) => void,
  ): void
}
