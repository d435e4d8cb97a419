/**
 * An agent whose identity is not there yet, or cannot be used yet: tries again, and is the agent from then on. Calls wait
 * for it so long as they would wait for a gateway that was never reached.
 */
import { type ErrorCode, MeshError, uuidV7 } from '@clawmesh/proto'
import { checkOptions } from '../check-options.ts'
import { createBackoff } from '../client/backoff.ts'
import { DELEGATE_OPTIONS, type DelegateOptions, type Delegation } from '../client/delegation.ts'
import { checkTraceOptions } from '../client/trace-options.ts'
import type { AgentFetch } from '../egress/agent-fetch.ts'
import type { Log } from '../log.ts'
import type { TaskInfo } from '../model/task-event.ts'
import { checkTraceparent, spanOf } from '../wire/trace.ts'
import type { Agent } from './agent-interface.ts'
import { createStateHolder, type StateHolder } from './agent-state.ts'
import { createLateDelegation } from './late-delegation.ts'
import { both } from './task-scope.ts'

/** An agent, and how a task is given away under an id that is known already. */
export interface MadeAgent {
  readonly agent: Agent
  delegateAs(id: string, peer: string, asked: DelegateOptions): Delegation
}

export interface LateAgentOptions {
  /** @throws MeshError while there is no identity that can be used */
  readonly open: () => Promise<MadeAgent>
  /** Why there is none so far. */
  readonly error: MeshError
  /** How long calls wait, in milliseconds. */
  readonly giveUpMs: number
  readonly log: Log
  readonly now: () => number
}

export function createLateAgent(options: LateAgentOptions): Agent {
  const late = new Identityless(options)
  const soon = (signal?: AbortSignal | null) => late.soon(signal)
  const agent: Agent = {
    get identity() {
      const made = late.made()
      if (made === null) throw late.error()
      return made.agent.identity
    },
    state: () => late.state().current(),
    onState: (listener) => late.state().onChange(listener),
    delegate(peer, asked) {
      const made = late.made()
      if (made !== null) return made.agent.delegate(peer, asked)
      checkOptions(asked, DELEGATE_OPTIONS, 'delegate')
      const id = uuidV7(options.now())
      const traceparent = spanOf(checkTraceparent(asked.traceparent))
      const task = soon(asked.signal).then((known) =>
        known.delegateAs(id, peer, { ...asked, traceparent }),
      )
      return createLateDelegation({ id, peer, traceparent, made: task })
    },
    watch(peer, id, afterSeq, asked = {}) {
      const made = late.made()
      if (made !== null) return made.agent.watch(peer, id, afterSeq, asked)
      checkTraceOptions(asked, 'watch')
      const traceparent = spanOf(checkTraceparent(asked.traceparent))
      const task = soon().then(({ agent: known }) =>
        known.watch(peer, id, afterSeq, { traceparent }),
      )
      return createLateDelegation({ id, peer, traceparent, made: task })
    },
    get: async (...asked) => (await soon()).agent.get(...asked),
    async *list(...asked): AsyncGenerator<TaskInfo, void, void> {
      yield* (await soon()).agent.list(...asked)
    },
    describe: async (...asked) => (await soon()).agent.describe(...asked),
    serve: (asked) => late.serving((known) => known.serve(asked)),
    egressRelay: (asked) => late.serving((known) => known.egressRelay(asked)),
    fetch: (async (input, init) =>
      (await soon(init?.signal)).agent.fetch(input, init)) satisfies AgentFetch,
    onOwnBehalf<T>(work: () => T): T {
      const made = late.made()
      return made === null ? work() : made.agent.onOwnBehalf(work)
    },
    peers: async (...asked) => (await soon()).agent.peers(...asked),
    explain: async (...asked) => (await soon()).agent.explain(...asked),
    explainHost: async (...asked) => (await soon()).agent.explainHost(...asked),
    whoAmI: async (...asked) => (await soon()).agent.whoAmI(...asked),
    close: () => late.close(),
  }
  return Object.freeze(agent)
}

/** Until it has one. */
class Identityless {
  readonly #options: LateAgentOptions
  readonly #state: StateHolder
  readonly #closing = new AbortController()
  /** Not one promise for all to race with: it would keep what every race left there. */
  readonly #waiting = new Set<(made: MadeAgent) => void>()
  readonly #trying: Promise<void>
  #error: MeshError
  #made: MadeAgent | null = null
  #closed: Promise<void> | null = null

  constructor(options: LateAgentOptions) {
    const { error } = options
    this.#options = options
    this.#error = error
    this.#state = createStateHolder({ status: 'no-identity', error }, options)
    options.log.warn({ code: error.code, hint: error.hint }, `${WAITING}: ${error.message}`)
    this.#trying = this.#try()
  }

  made(): MadeAgent | null {
    return this.#made
  }

  error(): MeshError {
    return this.#error
  }

  state(): StateHolder {
    return this.#state
  }

  /** @throws MeshError why there is no identity, once the call has waited for so long; the reason of the signal */
  async soon(signal?: AbortSignal | null): Promise<MadeAgent> {
    if (this.#made !== null) return this.#made
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(this.#error), this.#options.giveUpMs)
    try {
      return await this.#opened(both(late.signal, signal))
    } finally {
      clearTimeout(timer)
    }
  }

  /** For what listens: waits for as long as it takes, and keeps its process meanwhile, as a server does. */
  async serving<T>(work: (agent: Agent) => Promise<T>): Promise<T> {
    const keep = setInterval(() => {}, 3_600_000)
    try {
      const { agent } = await this.#opened(this.#closing.signal)
      return await work(agent)
    } finally {
      clearInterval(keep)
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#end()
    return this.#closed
  }

  async #end(): Promise<void> {
    const reason = new MeshError('MESH_CALL_CANCELED', 'the agent was closed')
    this.#closing.abort(reason)
    await this.#trying
    await this.#made?.agent.close()
    this.#state.set('closed')
  }

  async #opened(until: AbortSignal): Promise<MadeAgent> {
    const signal = both(this.#closing.signal, until)
    signal.throwIfAborted()
    if (this.#made !== null) return this.#made
    const { promise, resolve, reject } = Promise.withResolvers<MadeAgent>()
    const over = () => reject(signal.reason)
    signal.addEventListener('abort', over, { once: true })
    this.#waiting.add(resolve)
    try {
      return await promise
    } finally {
      this.#waiting.delete(resolve)
      signal.removeEventListener('abort', over)
    }
  }

  async #try(): Promise<void> {
    const { open, log } = this.#options
    const { signal } = this.#closing
    const backoff = createBackoff({ firstMs: 500, maxMs: 2_000, ref: false })
    while (!signal.aborted) {
      try {
        await backoff.wait(signal)
        const made = await open()
        this.#made = made
        const { agent } = made
        log.info({ identity: agent.identity.id }, 'the agent has an identity')
        const follow = () => this.#state.set(agent.state().status, agent.state().error)
        agent.onState(follow)
        follow()
        for (const resolve of this.#waiting) resolve(made)
        return
      } catch (error) {
        if (signal.aborted) return
        this.#keep(error)
      }
    }
  }

  #keep(thrown: unknown): void {
    const code: ErrorCode = 'MESH_GATEWAY_INTERNAL'
    const error =
      thrown instanceof MeshError ? thrown : new MeshError(code, undefined, { cause: thrown })
    if (error.code !== this.#error.code || error.message !== this.#error.message)
      this.#options.log.warn({ code: error.code, hint: error.hint }, `${WAITING}: ${error.message}`)
    this.#error = error
    this.#state.set('no-identity', error)
  }
}

const WAITING = 'the agent has no identity that it can use, and tries again'
