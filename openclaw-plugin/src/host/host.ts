/** OpenClaw as this plugin sees it: made anew by each start of the service, and used no longer than that lasts. */
import type {
  EmbeddedRunResult,
  HostAgentEvent,
  HostApi,
  HostImage,
  HostServiceContext,
} from './openclaw-types.ts'

export interface Host {
  readonly log: HostLog
  /** Where files of OpenClaw are kept. */
  readonly stateDir: string
  /** The installed file of the plugin, which stays when this copy is retired. */
  readonly pluginFile: string
  /** `plugins.entries.clawmesh.config`, unchecked. */
  readonly pluginConfig: unknown
  /** Folders with a folder for each skill. */
  readonly skillFolders: readonly string[]
  runTurn(turn: HostTurn): Promise<EmbeddedRunResult>
}

/** One sentence each, for the operator. */
export interface HostLog {
  info(message: string): void
  warn(message: string): void
  error(message: string): void
}

export interface HostTurn {
  readonly agentId: string
  readonly sessionKey: string
  readonly sessionId: string
  readonly runId: string
  readonly prompt: string
  readonly images: readonly HostImage[]
  readonly systemPrompt: string
  /** Only these are there. Not empty. */
  readonly tools: readonly string[]
  readonly timeoutMs: number
  readonly signal: AbortSignal
  onEvent(event: HostAgentEvent): void
}

export function createHost(api: HostApi, context: HostServiceContext): Host {
  const { runtime, config, logger } = api
  return Object.freeze({
    log: {
      info: (message: string) => logger.info(message),
      warn: (message: string) => logger.warn(message),
      error: (message: string) => logger.error(message),
    },
    stateDir: context.stateDir,
    pluginFile: api.source,
    pluginConfig: api.pluginConfig,
    skillFolders: skillFoldersOf(config, context, runtime.agent.resolveAgentWorkspaceDir),
    runTurn: (turn: HostTurn) =>
      runtime.agent.runEmbeddedAgent({
        ...{ config, agentId: turn.agentId, sessionKey: turn.sessionKey },
        ...{ sessionId: turn.sessionId, runId: turn.runId, prompt: turn.prompt },
        ...(turn.images.length === 0 ? {} : { images: [...turn.images] }),
        workspaceDir: runtime.agent.resolveAgentWorkspaceDir(config, turn.agentId),
        agentDir: runtime.agent.resolveAgentDir(config, turn.agentId),
        timeoutMs: turn.timeoutMs,
        toolsAllow: [...turn.tools],
        extraSystemPrompt: turn.systemPrompt,
        ...{ senderIsOwner: false, disableMessageTool: true, abortSignal: turn.signal },
        // what is not written down is not run again after a restart
        sessionPersistence: 'detached',
        terminalReplyExpectation: 'required',
        onAgentEvent: (event: HostAgentEvent) => turn.onEvent(event),
      }),
  })
}

/** Of the workspace of each agent, of the state directory, and of the configuration. */
function skillFoldersOf(
  config: object,
  { stateDir, workspaceDir }: HostServiceContext,
  workspaceOf: (config: object, agentId: string) => string,
): readonly string[] {
  const agents = field(field(config, 'agents'), 'list')
  const ids = (Array.isArray(agents) ? agents : []).flatMap((agent: unknown) => {
    const id = field(agent, 'id')
    return typeof id === 'string' ? [id] : []
  })
  const workspaces = [
    ...(workspaceDir === undefined ? [] : [workspaceDir]),
    ...(ids.length === 0 ? ['main'] : ids).map((id) => workspaceOf(config, id)),
  ]
  const more = field(field(field(config, 'skills'), 'load'), 'extraDirs')
  return [
    ...new Set([
      ...workspaces.map((workspace) => `${workspace}/skills`),
      `${stateDir}/skills`,
      ...(Array.isArray(more) ? more.filter((each) => typeof each === 'string') : []),
    ]),
  ]
}

function field(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
}
