/** The agent of the SDK, a lazy one: it finds its identity and its gateway by itself, and says how it stands. */
import {
  type Agent,
  type AgentOptions,
  type AgentState,
  createAgent,
  type Log,
} from '@clawmesh/agent-sdk'

export interface AgentLink {
  /** Null while it has no identity. */
  agent(): Agent | null
  /** Why it is not in the mesh; null when nothing is wrong, or not yet. */
  fault(): Error | null
  close(): Promise<void>
}

export interface AgentLinkOptions {
  readonly agent: AgentOptions
  readonly log: Log
  /** Called once, when it has an identity. */
  onAgent(agent: Agent): void
  /** Called each time that the gateway is reached. */
  onConnected(agent: Agent): void
}

export function createAgentLink(options: AgentLinkOptions): AgentLink {
  const { log } = options
  let agent: Agent | null = null
  let fault: Error | null = null
  let known = false
  let closed = false
  const onState = (made: Agent, { status }: AgentState) => {
    if (closed) return
    if (!known && status !== 'no-identity') {
      known = true
      options.onAgent(made)
    }
    if (status === 'connected') options.onConnected(made)
  }
  const making = createAgent({ ...options.agent, lazy: true }).then(
    async (made) => {
      if (closed) return made.close()
      agent = made
      made.onState((state) => onState(made, state))
      onState(made, made.state())
    },
    (error: unknown) => {
      fault = error instanceof Error ? error : new Error(String(error))
      log.error({ err: fault }, 'this agent is not in the mesh')
    },
  )
  return {
    agent: () => (known ? agent : null),
    fault: () => fault ?? agent?.state().error ?? null,
    async close() {
      closed = true
      await making
      await agent?.close()
    },
  }
}
