/** A task at a peer while it is followed: where it stands, its open question, what it used, and its outcome once it has ended. */
import type { Delegation, TaskEvent, TaskResult, TaskState } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import { errorResult, plainLineOf, questionText, type ToolResult } from '@clawmesh/proto/tools'
import type { ToolProgress } from './tool.ts'

/** How a task came to its end, as far as this side knows. */
export interface Outcome {
  readonly result: ToolResult
  /** The peer has said so, or has never had the task. False when only the connection to it was lost: then the task may go on. */
  readonly final: boolean
}

export interface FollowedTaskOptions {
  readonly delegation: Delegation
  /** Empty when it is not known. */
  readonly skill: string
  readonly owner: string
  /** It is given to the peer now, not looked at again. */
  readonly isNew: boolean
  /** Writes what a completed task brought. */
  render(result: TaskResult, task: FollowedTask): Promise<ToolResult>
  /** Of an error that a call about it met: hints and causes are for the log. */
  onError(error: MeshError): void
}

/** An open question of the peer's, as text. */
export interface Question {
  readonly inputId: string
  readonly text: string
}

/** Names of amounts are the peer's to choose. */
const MAX_AMOUNTS = 32

export class FollowedTask {
  readonly skill: string
  readonly owner: string
  readonly delegation: Delegation
  /** Settles when the task has ended, or can be followed no more. */
  readonly outcome: Promise<Outcome>
  /** It was handed back by its id, so its outcome is kept for a later call. */
  handedBack = false
  readonly #usage = new Map<string, number>()
  readonly #changes = new Set<() => void>()
  readonly #listeners = new Set<(progress: ToolProgress) => void>()
  #state: TaskState = 'submitted'
  #accepted = false
  #ended: Outcome | null = null
  #question: Question | null = null

  constructor(options: FollowedTaskOptions) {
    this.delegation = options.delegation
    this.skill = options.skill
    this.owner = options.owner
    this.outcome = this.#follow(options)
  }

  /** With a key it becomes the id of the earlier task once the peer has answered. */
  get id(): string {
    return this.delegation.id
  }

  get peer(): string {
    return this.delegation.peer
  }

  get state(): TaskState {
    return this.#state
  }

  /** The peer has the task. */
  get accepted(): boolean {
    return this.#accepted
  }

  get question(): Question | null {
    return this.#question
  }

  get usage(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#usage)
  }

  /** Null until it has ended. */
  get ended(): Outcome | null {
    return this.#ended
  }

  /** @returns stops telling */
  onProgress(listener: (progress: ToolProgress) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Resolves when `until` holds, when the task has ended, after `waitMs`, or when the signal aborts.
   * @returns true unless the time was over or the signal aborted first
   */
  async wait(until: () => boolean, waitMs: number, signal?: AbortSignal): Promise<boolean> {
    const holds = () => this.#ended !== null || until()
    if (holds()) return true
    if (signal?.aborted === true) return false
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const changed = () => {
      if (holds()) resolve(true)
    }
    const stop = () => resolve(false)
    const timer = setTimeout(stop, waitMs)
    signal?.addEventListener('abort', stop, { once: true })
    this.#changes.add(changed)
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', stop)
      this.#changes.delete(changed)
    }
  }

  async #follow({ delegation, isNew, render, onError }: FollowedTaskOptions): Promise<Outcome> {
    // its last event says how it ended; without one, only the connection did
    let last: TaskEvent['kind'] | null = null
    let outcome: Outcome
    try {
      for await (const event of delegation) {
        last = event.kind
        this.#take(event)
      }
      outcome = { result: await render(await delegation.result(), this), final: true }
    } catch (thrown) {
      const error =
        thrown instanceof MeshError
          ? thrown
          : new MeshError('MESH_GATEWAY_INTERNAL', 'the tool failed', { cause: thrown })
      onError(error)
      const { id, peer, skill, state } = this
      const result = errorResult(error, `the peer ${peer}`, {
        ...{ id, peer, skill },
        ...(last === 'failed' ? { state } : {}),
        ...(this.#usage.size === 0 ? {} : { usage: this.usage }),
      })
      const refused = isNew && !this.#accepted && error.code !== 'MESH_CALL_CANCELED'
      outcome = { result, final: last === 'failed' || last === 'result' || refused }
    }
    this.#ended = outcome
    this.#question = null
    this.#tell()
    return outcome
  }

  #take(event: TaskEvent): void {
    this.#accepted = true
    switch (event.kind) {
      case 'status':
        this.#state = event.state
        this.#report(null, event.note)
        break
      case 'progress':
        this.#report(event.fraction, event.note)
        break
      case 'message':
        this.#report(null, event.text)
        break
      case 'input-required':
        this.#question = { inputId: event.inputId, text: questionText(event.question) }
        this.#state = 'input-required'
        break
      case 'input-received':
        if (this.#question?.inputId === event.inputId) this.#question = null
        this.#state = 'working'
        break
      case 'usage':
        this.#add(event.amounts)
        break
      case 'result':
        this.#state = 'completed'
        break
      case 'failed':
        this.#state = event.state
        break
      default:
        this.#state = this.#state === 'submitted' ? 'working' : this.#state
    }
    this.#tell()
  }

  #add(amounts: Readonly<Record<string, number>>): void {
    for (const [given, amount] of Object.entries(amounts)) {
      const name = plainLineOf(given, 64)
      if (!this.#usage.has(name) && this.#usage.size >= MAX_AMOUNTS) continue
      this.#usage.set(name, (this.#usage.get(name) ?? 0) + amount)
    }
  }

  #report(fraction: number | null, words: string): void {
    if (this.#listeners.size === 0) return
    const note = plainLineOf(words)
    if (fraction === null && note === '') return
    for (const listener of this.#listeners) listener({ fraction, note })
  }

  #tell(): void {
    for (const changed of this.#changes) changed()
  }
}
