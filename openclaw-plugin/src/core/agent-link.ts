/** The agent of the SDK. What keeps it from being made, such as an identity that is not there yet, is tried again by itself. */
import {
  type Agent,
  type AgentOptions,
  createAgent,
  type Log,
  MeshError,
} from '@clawmesh/agent-sdk'

export interface AgentLink {
  /** Null until it could be made. */
  agent(): Agent | null
  /** Why it could not be made; null when nothing has failed yet. */
  fault(): Error | null
  close(): Promise<void>
}

export interface AgentLinkOptions {
  readonly agent: AgentOptions
  readonly log: Log
  /** Called once. */
  onAgent(agent: Agent): void
  /** How long to wait between tries, in milliseconds. Default 2,000, and twice as long each time, up to 30,000. */
  readonly retryMs?: number
}

const LONGEST_RETRY_MS = 30_000

export function createAgentLink(options: AgentLinkOptions): AgentLink {
  const { log } = options
  let agent: Agent | null = null
  let fault: Error | null = null
  let closed = false
  let timer: NodeJS.Timeout | undefined
  const attempt = async (waitMs: number): Promise<void> => {
    try {
      const made = await createAgent(options.agent)
      if (closed) return await made.close()
      agent = made
      fault = null
      options.onAgent(made)
    } catch (error) {
      const why = error instanceof Error ? error : new Error(String(error))
      if (why.message !== fault?.message) log.error({ err: why }, 'this agent is not in the mesh')
      fault = why
      // wrong options stay wrong until they are edited
      if (closed || !(why instanceof MeshError)) return
      timer = setTimeout(() => {
        tried = attempt(Math.min(waitMs * 2, LONGEST_RETRY_MS))
      }, waitMs)
      timer.unref()
    }
  }
  let tried = attempt(options.retryMs ?? 2_000)
  return {
    agent: () => agent,
    fault: () => fault,
    async close() {
      closed = true
      clearTimeout(timer)
      await tried
      await agent?.close()
    },
  }
}
