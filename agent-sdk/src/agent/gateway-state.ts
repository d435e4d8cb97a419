/** `agent.state` and `agent.onState`: by what a lazy agent finds out, or else by the connection that calls have made. */
import type { Connection } from '../client/connection.ts'
import type { Log } from '../log.ts'
import type { Agent } from './agent-interface.ts'
import { type AgentState, createStateHolder } from './agent-state.ts'
import type { GatewayLink } from './gateway-link.ts'
import { keepConnected } from './keep-connected.ts'

export interface GatewayStateOptions extends Pick<GatewayLink, 'trouble'> {
  readonly connection: Pick<Connection, 'unary' | 'status' | 'onStatus'>
  readonly contact: Pick<GatewayLink['contact'], 'beginEndless'>
  readonly gatewayName: string
  /** It connects by itself, and stays connected. */
  readonly lazy: boolean
  /** Aborts when the agent is closed. */
  readonly signal: AbortSignal
  readonly log: Log
  readonly now: () => number
}

export interface GatewayState extends Pick<Agent, 'state' | 'onState'> {
  closed(): void
}

export function createGatewayState(options: GatewayStateOptions): GatewayState {
  const { connection, trouble, lazy } = options
  const status = lazy ? 'connecting' : 'idle'
  const holder = createStateHolder({ status, error: null }, options)
  const look = () => {
    const now = connection.status()
    const error = now === 'connected' ? null : trouble()
    const refused = now === 'connecting' && error !== null && !isUnreached(error)
    holder.set(refused ? 'refused' : now, error)
  }
  if (lazy) keepConnected({ ...options, state: holder })
  else connection.onStatus(look)
  return {
    state() {
      // why it failed is known a little later than that it did
      if (!lazy) look()
      return holder.current()
    },
    onState: (listener) => holder.onChange(listener),
    closed: () => holder.set('closed'),
  }
}

function isUnreached({ code }: NonNullable<AgentState['error']>): boolean {
  return code === 'MESH_GATEWAY_UNREACHABLE'
}
