/**
 * One agent and its tools for a whole process, made when they are needed first. A door that serves a model starts even where the
 * identity cannot be read yet: each call then says so, and the first call after the mend works.
 */
import { type Agent, type AgentOptions, createAgent, type Log } from '@clawmesh/agent-sdk'
import { stateDirOf } from '../identity/state-dir.ts'
import { createTools } from './create-tools.ts'
import type { Tools } from './tool.ts'

export interface ToolHostOptions {
  readonly agent: AgentOptions
  /** Default: by the user and the agent, below XDG_STATE_HOME. */
  readonly stateDir: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  readonly maxTextLength?: number
  readonly log: Log
}

export interface OpenedTools {
  readonly agent: Agent
  readonly tools: Tools
  readonly stateDir: string
}

export interface ToolHost {
  /** @throws MeshError MESH_IDENTITY_…, TypeError for options that make no sense */
  get(): Promise<OpenedTools>
  close(): Promise<void>
}

export function createToolHost(options: ToolHostOptions): ToolHost {
  let opened: Promise<OpenedTools> | null = null
  return {
    get() {
      const opening = opened ?? open(options)
      opened = opening
      opening.catch(() => {
        // the next call tries again
        if (opened === opening) opened = null
      })
      return opening
    },
    async close() {
      const all = await opened?.catch(() => null)
      await all?.tools.close()
      await all?.agent.close()
      // what the end of the agent ended
      await all?.tools.close()
    },
  }
}

async function open({ agent: asked, env, log, ...options }: ToolHostOptions): Promise<OpenedTools> {
  const agent = await createAgent(asked)
  const stateDir = options.stateDir ?? stateDirOf(env, agent.identity)
  const { maxTextLength } = options
  const tools = createTools({
    ...{ stateDir, log },
    ...(maxTextLength === undefined ? {} : { maxTextLength }),
  })
  return { agent, tools, stateDir }
}
