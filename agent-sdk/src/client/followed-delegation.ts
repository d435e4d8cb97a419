/** A delegation while it is followed: keeps its result, and gives its events to the iterators of its handle. */
import { MeshError } from '@clawmesh/proto'
import type { Part } from '../model/part.ts'
import type { TaskEvent, TaskInfo } from '../model/task-event.ts'
import { failureToError, type IncomingEvent } from '../wire/event-codec.ts'
import { createAssembler } from './assemble.ts'
import { createEventQueue, type EventQueue } from './event-queue.ts'
import { createTaskResult, type TaskResult } from './task-result.ts'

export interface DelegationPort {
  readonly id: string
  readonly peer: string
  /** Of its trace; empty where no call names one. */
  readonly traceId: string
  /** Of its tree; null until the gateway has said it. */
  readonly rootId: string | null
  /** The task is seen from its first event on. */
  readonly complete: boolean
  readonly maxResultBytes: number
  readonly detached: boolean
  /** The peer has the task already. */
  readonly held: boolean
  /** Bytes of artifacts are kept for the result. */
  readonly gather: boolean
  /** Aborts when the caller or the agent lets go of it; its reason is a MeshError. */
  readonly signal: AbortSignal
  follow(signal: AbortSignal): AsyncIterable<IncomingEvent>
  /** Another look at the same task. */
  replay(id: string, afterSeq: number, signal: AbortSignal): AsyncIterable<IncomingEvent>
  cancel(id: string, reason: string): Promise<TaskInfo>
  get(id: string): Promise<TaskInfo>
  sendInput(id: string, inputId: string, answer: readonly Part[]): Promise<TaskInfo>
  /**
   * Checks what the task brought by what the peer has said of the skill.
   * @param skill as the peer names it; null where that was not seen
   * @throws MeshError MESH_TASK_OUTPUT_INVALID
   */
  checkOutput(skill: string | null, output: readonly Part[]): void
  /** What it came to: the error, or null. Called once. */
  onOutcome(failure: unknown): void
  /** The handle is done with; nothing of it is left. */
  onEnd(): void
}

export class FollowedDelegation {
  readonly #port: DelegationPort
  readonly #signal: AbortSignal
  readonly #outcome = Promise.withResolvers<TaskResult>()
  readonly #accepted = Promise.withResolvers<void>()
  readonly #queue: EventQueue
  #id: string
  /** The peer has the task. */
  #held: boolean
  /** What ended it before the peer had the task. */
  #refused: MeshError | null = null
  #skill: string | null = null
  #resultWanted = false
  #iterated = false

  /** @param signal aborts with that of the port, or when the handle lets go of the task */
  constructor(port: DelegationPort, signal: AbortSignal) {
    this.#port = port
    this.#signal = signal
    this.#id = port.id
    this.#held = port.held
    this.#queue = createEventQueue(() => !this.#resultWanted)
    if (port.held) this.#accepted.resolve()
    // a handle whose result is not asked for must not end the process
    this.#outcome.promise.then(
      () => port.onOutcome(null),
      (error: unknown) => port.onOutcome(error),
    )
    signal.addEventListener('abort', this.#queue.giveUp, { once: true })
  }

  /** With an idempotency key it becomes the id of the earlier task once that has answered. */
  get id(): string {
    return this.#id
  }

  /** A turn later, so that the code that made the handle can iterate before the first event. */
  startSoon(): void {
    queueMicrotask(() => void this.#start())
  }

  result(): Promise<TaskResult> {
    this.#resultWanted = true
    // the result must come even where no iterator takes the events
    if (!this.#iterated || this.#queue.isFull()) this.#queue.giveUp()
    return this.#outcome.promise
  }

  /** Resolves when the peer has the task, when it is over, or after `waitMs` milliseconds for all calls. */
  async accepted(waitMs: number): Promise<void> {
    const timer = setTimeout(() => this.#accepted.resolve(), waitMs)
    await this.#accepted.promise
    clearTimeout(timer)
  }

  async *events(): AsyncGenerator<TaskEvent, void, void> {
    if (this.#iterated) return yield* this.#replay(0)
    this.#iterated = true
    let last = 0
    try {
      for (;;) {
        const event = await this.#queue.take()
        if (event === 'end') return
        if (event === 'gone') return yield* this.#replay(last)
        last = event.seq
        yield event
      }
    } finally {
      // an iterator that has left its loop no longer holds the stream up
      this.#queue.giveUp()
    }
  }

  async *#replay(after: number): AsyncGenerator<TaskEvent, void, void> {
    // before that the peer would not know it
    await this.#accepted.promise
    if (this.#refused !== null) throw this.#refused
    const assembler = createAssembler(this.#port.maxResultBytes, after === 0, false)
    try {
      for await (const incoming of this.#port.replay(this.#id, after, this.#signal)) {
        const event = assembler.take(incoming)
        if (event !== null) yield event
      }
    } catch (thrown) {
      throw reasonOf(thrown, this.#signal)
    }
  }

  async #start(): Promise<void> {
    const port = this.#port
    try {
      await this.#pump()
    } catch (thrown) {
      const error = reasonOf(thrown, this.#signal)
      if (!this.#held) this.#refused = error
      this.#outcome.reject(error)
      this.#queue.finish(error)
      // as far as the peer can be reached; if not, it notices that its caller has gone
      if (port.signal.aborted && !port.detached)
        await port.cancel(this.#id, error.message).catch(() => {})
    } finally {
      this.#signal.removeEventListener('abort', this.#queue.giveUp)
      this.#accepted.resolve()
      port.onEnd()
    }
  }

  async #pump(): Promise<void> {
    const { maxResultBytes, complete, gather } = this.#port
    const assembler = createAssembler(maxResultBytes, complete, gather)
    for await (const incoming of this.#port.follow(this.#signal)) {
      this.#id = incoming.id
      this.#held = true
      this.#accepted.resolve()
      const event = assembler.take(incoming)
      if (event === null) continue
      if (event.kind === 'accepted') this.#skill = event.skill
      if (event.kind === 'failed') this.#outcome.reject(failureToError(event))
      if (event.kind === 'result') this.#settle(event.output, assembler)
      await this.#queue.push(event)
    }
    this.#queue.finish(null)
  }

  #settle(
    output: Parameters<typeof createTaskResult>[1],
    { artifacts }: { artifacts(): Parameters<typeof createTaskResult>[2] },
  ): void {
    try {
      this.#port.checkOutput(this.#skill, output)
      this.#outcome.resolve(createTaskResult(this.#id, output, artifacts()))
    } catch (error) {
      this.#outcome.reject(error)
    }
  }
}

function reasonOf(thrown: unknown, signal: AbortSignal): MeshError {
  const reason: unknown = signal.aborted ? signal.reason : thrown
  if (reason instanceof MeshError) return reason
  return new MeshError(
    signal.aborted ? 'MESH_CALL_CANCELED' : 'MESH_GATEWAY_INTERNAL',
    signal.aborted ? undefined : 'something went wrong inside the SDK',
    { cause: reason },
  )
}
