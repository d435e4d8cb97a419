/**
 * A host that does with a plugin what was measured of OpenClaw: it loads several copies of the built file, starts the service in one,
 * runs the tools of turns in another, loads new copies when the configuration is edited, and deletes the files of the old ones.
 */
import { randomUUID } from 'node:crypto'
import { cp, mkdir, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type {
  BeforeToolCallContext,
  BeforeToolCallEvent,
  BeforeToolCallResult,
  EmbeddedRunParams,
  EmbeddedRunResult,
  HostApi,
  HostService,
  HostServiceContext,
  HostToolFactory,
  HostToolResult,
} from '../../../openclaw-plugin/src/host/openclaw-types.ts'

export interface StandInOptions {
  /** The built plugin. */
  readonly pluginDir: string
  /** Everything of it is in there; exists. */
  readonly dir: string
  readonly pluginConfig: Readonly<Record<string, unknown>>
  /** An agent's turn that serves a peer. */
  readonly runTurn?: (turn: StandInTurn) => Promise<string>
}

export interface StandInTurn {
  readonly params: EmbeddedRunParams
  /** A tool that the model calls. */
  call(tool: string, args: unknown): Promise<string>
}

export interface StandInOpenClaw {
  readonly stateDir: string
  /** What the plugin has logged. */
  readonly logged: readonly string[]
  start(): Promise<void>
  /** As an edit of the configuration does. */
  reload(pluginConfig: Readonly<Record<string, unknown>>): Promise<void>
  /** A tool in a turn: the hook of one copy, then the tool. */
  call(tool: string, args: unknown, call?: CallOptions): Promise<HostToolResult>
  /** As `/tools/invoke`: in the copy that has the service, unchecked, with a signal that aborts afterwards. */
  invoke(tool: string, args: unknown): Promise<HostToolResult>
  /** A run of that conversation starts another one. */
  spawn(requesterSessionKey: string, childSessionKey: string): void
  stop(): Promise<void>
}

export interface CallOptions {
  readonly sessionKey?: string
  readonly signal?: AbortSignal
  readonly trace?: BeforeToolCallContext['trace']
}

interface Copy {
  readonly dir: string
  readonly factories: Map<string, HostToolFactory>
  readonly before: ((
    event: BeforeToolCallEvent,
    context: BeforeToolCallContext,
  ) => BeforeToolCallResult | undefined | Promise<BeforeToolCallResult | undefined>)[]
  readonly stops: (() => void | Promise<void>)[]
  readonly spawned: ((
    event: { readonly childSessionKey: string },
    context: { readonly requesterSessionKey?: string },
  ) => void)[]
  service: HostService | null
  retired: boolean
}

export function createStandInOpenClaw(options: StandInOptions): StandInOpenClaw {
  return new StandIn(options)
}

class StandIn implements StandInOpenClaw {
  readonly stateDir: string
  readonly logged: string[] = []
  readonly #options: StandInOptions
  #pluginConfig: Readonly<Record<string, unknown>>
  #full: Copy | null = null
  #turns: Copy | null = null
  #loads = 0

  constructor(options: StandInOptions) {
    this.#options = options
    this.#pluginConfig = options.pluginConfig
    this.stateDir = join(options.dir, 'state')
  }

  async start(): Promise<void> {
    await mkdir(this.stateDir, { recursive: true })
    this.#full = await this.#load('full')
    this.#turns = await this.#load('discovery')
    await this.#full.service?.start(this.#context())
  }

  async reload(pluginConfig: Readonly<Record<string, unknown>>): Promise<void> {
    const old = [this.#full, this.#turns]
    await this.#full?.service?.stop?.(this.#context())
    this.#pluginConfig = pluginConfig
    for (const copy of old) if (copy !== null) await this.#retire(copy)
    await this.start()
  }

  async call(
    tool: string,
    args: unknown,
    { sessionKey = 'agent:main:main', signal, trace }: CallOptions = {},
  ): Promise<HostToolResult> {
    const toolCallId = randomUUID()
    const params = typeof args === 'object' && args !== null ? { ...args } : {}
    for (const before of this.#turns?.before ?? []) {
      const said = await before(
        { toolName: tool, params, toolCallId },
        { sessionKey, agentId: 'main', ...(trace === undefined ? {} : { trace }) },
      )
      if (said?.block) return textResult(`blocked: ${said.blockReason}`)
    }
    return this.#execute(this.#turns, tool, args, toolCallId, sessionKey, signal)
  }

  async invoke(tool: string, args: unknown): Promise<HostToolResult> {
    const over = new AbortController()
    const id = `http-direct-${randomUUID()}`
    const result = await this.#execute(this.#full, tool, args, id, 'agent:main:main', over.signal)
    over.abort()
    return result
  }

  spawn(requesterSessionKey: string, childSessionKey: string): void {
    for (const spawned of this.#turns?.spawned ?? [])
      spawned({ childSessionKey }, { requesterSessionKey })
  }

  async stop(): Promise<void> {
    for (const copy of [this.#full, this.#turns]) for (const stop of copy?.stops ?? []) await stop()
    await this.#full?.service?.stop?.(this.#context())
    for (const copy of [this.#full, this.#turns]) if (copy !== null) await this.#retire(copy)
  }

  async #execute(
    copy: Copy | null,
    tool: string,
    args: unknown,
    id: string,
    sessionKey: string,
    signal?: AbortSignal,
  ): Promise<HostToolResult> {
    const made = copy?.factories.get(tool)?.({
      ...{ agentId: 'main', sessionKey, sessionId: 's', workspaceDir: this.#workspace() },
    })
    if (made === undefined || made === null) return textResult(`no tool ${tool}`)
    return made.execute(id, args, signal)
  }

  async #load(registrationMode: string): Promise<Copy> {
    this.#loads += 1
    const dir = join(this.#options.dir, `captures/${this.#loads}`)
    await cp(this.#options.pluginDir, dir, { recursive: true })
    const copy: Copy = {
      ...{ dir, factories: new Map(), before: [], stops: [], spawned: [] },
      ...{ service: null, retired: false },
    }
    // as OpenClaw does: what awaits at its top cannot be required
    const loaded: { default: { register(api: HostApi): void } } = createRequire(import.meta.url)(
      join(dir, 'index.js'),
    )
    loaded.default.register(this.#api(copy, registrationMode))
    return copy
  }

  #api(copy: Copy, registrationMode: string): HostApi {
    const say = (level: string) => (message: string) => {
      this.logged.push(`${level}: ${message}`)
    }
    const on: HostApi['on'] = (hook: string, handler: never) => {
      if (hook === 'before_tool_call') copy.before.push(handler)
      if (hook === 'gateway_stop') copy.stops.push(handler)
      if (hook === 'subagent_spawned') copy.spawned.push(handler)
    }
    return {
      ...{ registrationMode, pluginConfig: this.#pluginConfig, config: {} },
      source: join(this.#options.pluginDir, 'index.js'),
      logger: { info: say('info'), warn: say('warn'), error: say('error') },
      runtime: {
        agent: {
          runEmbeddedAgent: (params) => {
            if (copy.retired) throw new Error('this runtime was retired by a reload')
            return this.#runTurn(params)
          },
          resolveAgentDir: () => join(this.#options.dir, 'agent'),
          resolveAgentWorkspaceDir: () => this.#workspace(),
        },
      },
      registerTool: (factory, { name }) => copy.factories.set(name, factory),
      registerService: (service) => {
        copy.service = service
      },
      on,
    }
  }

  async #runTurn(params: EmbeddedRunParams): Promise<EmbeddedRunResult> {
    const call = async (tool: string, args: unknown) => {
      params.abortSignal.throwIfAborted()
      if (!params.toolsAllow.includes(tool)) return `the model does not see ${tool}`
      const result = await this.call(tool, args, { sessionKey: params.sessionKey })
      return result.content.map(({ text }) => text).join()
    }
    const text = (await this.#options.runTurn?.({ params, call })) ?? ''
    const usage = { input: 11, output: 7, cacheRead: 0 }
    return { payloads: [{ text }], meta: { agentMeta: { provider: 'p', model: 'm', usage } } }
  }

  async #retire(copy: Copy): Promise<void> {
    copy.retired = true
    await rm(copy.dir, { recursive: true, force: true })
  }

  #workspace(): string {
    return join(this.#options.dir, 'workspace')
  }

  #context(): HostServiceContext {
    const nothing = () => {}
    const logger = { info: nothing, warn: nothing, error: nothing }
    return { config: {}, stateDir: this.stateDir, workspaceDir: this.#workspace(), logger }
  }
}

function textResult(text: string): HostToolResult {
  return { content: [{ type: 'text', text }], details: {} }
}

/** What a tool told the model. */
export function textOf({ content }: HostToolResult): string {
  return content.map(({ text }) => text).join('\n')
}
