/** How an agent stands with its gateway, and the listeners for changes. */
import type { MeshError } from '@clawmesh/proto'
import { createListeners } from '../files/listeners.ts'
import type { Log } from '../log.ts'

/** How an agent stands with its gateway, as `agent.state` answers it. */
export interface AgentState {
  /**
   * `no-identity`: a lazy agent has no identity that can be used, and tries again.
   * `idle`: there is no connection; the next call makes one.
   * `connecting`: the gateway is not reached; it is tried again.
   * `connected`: there is a connection; of a lazy agent also: the gateway takes it for who it is.
   * `refused`: one of the two does not accept the other, as `error` says; it is tried again.
   * `closed`: by `agent.close()`.
   */
  readonly status: 'no-identity' | 'idle' | 'connecting' | 'connected' | 'refused' | 'closed'
  /** Why it is not connected, as far as is known; else null. */
  readonly error: MeshError | null
  /** When `status` became what it is. */
  readonly since: Date
}

export interface StateHolder {
  current(): AgentState
  /** After `closed` nothing changes any more. */
  set(status: AgentState['status'], error?: MeshError | null): void
  /** Returns what ends it. */
  onChange(listener: (state: AgentState) => void): () => void
}

export function createStateHolder(
  first: Pick<AgentState, 'status' | 'error'>,
  { log, now }: { readonly log: Log; readonly now: () => number },
): StateHolder {
  const listeners = createListeners<AgentState>((error) =>
    log.error({ err: error }, 'a listener of onState failed'),
  )
  const stateOf = (status: AgentState['status'], error: MeshError | null, since: Date) =>
    Object.freeze({ status, error, since })
  let current = stateOf(first.status, first.error, new Date(now()))
  return {
    current: () => current,
    set(status, error = null) {
      if (current.status === 'closed') return
      const same = current.status === status
      if (same && current.error?.message === error?.message) return
      current = stateOf(status, error, same ? current.since : new Date(now()))
      listeners.tell(current)
      if (status === 'closed') listeners.clear()
    },
    onChange: (listener) => listeners.add(listener),
  }
}
