/**
 * What a skill does, it does for the task that it was called with: the scope of that task goes wherever the skill's
 * code goes, over awaits, timers and listeners. It ends with the task, and then stays ended: what is left of a skill
 * does not become work of the agent's own.
 * Each agent has its own scopes, so that two agents in one process never act for each other's tasks.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { AgentFetch, EgressClient } from '../egress/agent-fetch.ts'
import type { TaskOrigin } from '../tasks/task-host.ts'
import { spanOf } from '../wire/trace.ts'
import { type DelegationToken, readDelegationToken } from './delegation-token.ts'

export interface TaskScope {
  /** Aborts with the end of the task; its reason is a MeshError. */
  readonly signal: AbortSignal
  /** The chain that the task is part of; null for a task that came past the gateway. */
  readonly token: DelegationToken | null
  /** The span of the task itself. */
  readonly span: string
  /** For the next call made for the task: a part of its trace. */
  traceparent(): string
  readonly fetch: AgentFetch
}

export interface TaskScopes {
  /** Null outside of any task, and within `leave`. */
  current(): TaskScope | null
  /** @throws the reason of the end of the task, once it has ended */
  enter<T>(scope: TaskScope, work: () => T): T
  leave<T>(work: () => T): T
  open(origin: TaskOrigin, signal: AbortSignal): TaskScope
  /** Resolves when nothing of the scopes that have ended is left. */
  settled(): Promise<void>
}

/** @param egressFor reaches the outside under a token of that chain; null where there is no egress port */
export function createTaskScopes(
  egressFor: ((chain: DelegationToken, signal: AbortSignal) => EgressClient) | null,
  ownFetch: EgressClient['fetch'],
): TaskScopes {
  const storage = new AsyncLocalStorage<TaskScope | null>()
  const closing = new Set<Promise<void>>()

  function open(origin: TaskOrigin, taskSignal: AbortSignal): TaskScope {
    const ending = new AbortController()
    const { signal } = ending
    const token =
      origin.delegationToken === null ? null : readDelegationToken(origin.delegationToken)
    // made once, so that all calls for the task are of one trace also when nobody named it
    const trace = spanOf(origin.traceparent)
    let egress: EgressClient | null = null
    // made when first needed: most tasks never reach the outside
    const egressOf = (chain: DelegationToken): EgressClient | null => {
      if (egress !== null || egressFor === null) return egress
      const made = egressFor(chain, signal)
      signal.addEventListener('abort', () => close(made), { once: true })
      egress = made
      return made
    }
    const scope: TaskScope = Object.freeze({
      signal,
      token,
      span: trace,
      traceparent: () => spanOf(trace),
      fetch: (async (input, init) => {
        signal.throwIfAborted()
        const own = token === null ? null : egressOf(token)
        const within = { trace, signal }
        return own === null ? ownFetch(input, init, within) : own.fetch(input, init, within)
      }) satisfies AgentFetch,
    })
    // listeners run where the event is made: what a skill does on the end of its task must not become the agent's own
    const end = () => storage.run(scope, () => ending.abort(taskSignal.reason))
    if (taskSignal.aborted) end()
    else taskSignal.addEventListener('abort', end, { once: true })
    return scope
  }

  function close(egress: EgressClient): void {
    const closed = egress.close().catch(() => {
      // connections that do not close cleanly are gone all the same
    })
    closing.add(closed)
    void closed.then(() => closing.delete(closed))
  }

  return {
    current: () => storage.getStore() ?? null,
    enter(scope, work) {
      scope.signal.throwIfAborted()
      return storage.run(scope, work)
    },
    leave: (work) => storage.run(null, work),
    open,
    async settled() {
      await Promise.all(closing)
    },
  }
}

/** Aborts with either. */
export function both(signal: AbortSignal, other: AbortSignal | null | undefined): AbortSignal {
  return other === undefined || other === null ? signal : AbortSignal.any([signal, other])
}
