/** The handle of a task given to a peer: its events, its result, and the way to stop it. */
import { MeshError } from '@clawmesh/proto'
import { optionNames } from '../check-options.ts'
import { type Content, type Part, toParts } from '../model/part.ts'
import type { TaskEvent, TaskInfo } from '../model/task-event.ts'
import { failureToError, type IncomingEvent } from '../wire/event-codec.ts'
import { createAssembler } from './assemble.ts'
import { createEventQueue } from './event-queue.ts'
import type { Narrowing } from './propagation.ts'
import { createTaskResult, type TaskResult } from './task-result.ts'

/**
 * Options of `agent.delegate`. `skill` is required.
 *
 * @example
 * const delegation = agent.delegate('researcher', {
 *   skill: 'summarize',
 *   input: { url: 'https://example.com/', words: 100 },
 *   deadlineMs: 60_000,
 *   idempotencyKey: 'order-4711',
 *   narrow: { destinations: ['example.com'] },
 * })
 * console.log((await delegation.result()).text())
 */
export interface DelegateOptions {
  /** Which of the peer's skills. */
  readonly skill: string
  /** A string (text), a Uint8Array (bytes), parts, or any other value (JSON). Default: nothing. At most 3.5 MiB. */
  readonly input?: Content
  /** Same caller, same key, same content: the same task, even after a crash of the caller. Default: none. */
  readonly idempotencyKey?: string
  /** When the task must have ended. Default: never. */
  readonly deadline?: Date
  /** The same, from now, in milliseconds. */
  readonly deadlineMs?: number
  /** Aborting cancels the task, unless it is detached, and stops following it. */
  readonly signal?: AbortSignal
  /** The task goes on when its caller has gone. Default false. */
  readonly detached?: boolean
  /** Handed to the skill. At most 64. */
  readonly labels?: Readonly<Record<string, string>>
  /**
   * The trace to continue (W3C Trace Context, section 3.2), such as that of a request which the agent serves: audit lines of all
   * that is done for it have its id. Default: the trace of the task that the skill works on, or else a new one.
   */
  readonly traceparent?: string
  /**
   * `stream`: artifacts of any size are not held in memory. Their chunks come as events, whose reader holds the stream up, and are
   * verified; `result().artifacts` stays empty. Default `gather`: up to `maxResultBytes` in all.
   */
  readonly artifacts?: 'gather' | 'stream'
  /** Hands on less than this agent has, for all of the chain from the peer on. Never more, whatever is written here. */
  readonly narrow?: Narrowing
}

export const DELEGATE_OPTIONS = optionNames<DelegateOptions>({
  skill: true,
  input: true,
  idempotencyKey: true,
  deadline: true,
  deadlineMs: true,
  signal: true,
  detached: true,
  labels: true,
  traceparent: true,
  artifacts: true,
  narrow: true,
})

/**
 * A task at a peer. It was sent when this handle was made, and is followed over broken connections and restarts of the
 * gateway, even if no code iterates over it.
 *
 * @example
 * const delegation = agent.delegate('researcher', { skill: 'summarize', input: 'https://example.com/' })
 * for await (const event of delegation) if (event.kind === 'progress') console.log(event.fraction)
 * const summary: unknown = (await delegation.result()).json()
 */
export interface Delegation extends AsyncIterable<TaskEvent> {
  /** A UUIDv7. With an idempotency key it becomes the id of the earlier task once that has answered. */
  readonly id: string
  /** Full name. */
  readonly peer: string
  /**
   * What the task brought. Works with and without iterating; the same each time.
   * @throws MeshError the code of the task's failure (MESH_TASK_FAILED, MESH_TASK_CANCELED, MESH_TASK_EXPIRED, a code that the
   * skill chose), or of the call's (MESH_POLICY_NOT_ALLOWED, MESH_PEER_UNREACHABLE …)
   */
  result(): Promise<TaskResult>
  /**
   * Answers a question of the peer's, an event `input-required`; the task goes on then. May be repeated with the same answer.
   * @param inputId which question; default: the only one that is open
   * @throws MeshError MESH_TASK_INPUT_UNEXPECTED, MESH_TASK_CONFLICT when it was answered in another way
   */
  sendInput(answer: Content, inputId?: string): Promise<TaskInfo>
  /** Asks the peer to stop. Resolves with the task as it then stands. */
  cancel(reason?: string): Promise<TaskInfo>
}

export interface DelegationPort {
  readonly id: string
  readonly peer: string
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
  /** The handle is done with; nothing of it is left. */
  onEnd(): void
}

// how long cancel() waits to learn that the peer has the task at all
const ACCEPT_WAIT_MS = 5_000

export function createDelegation(port: DelegationPort): Delegation {
  const { maxResultBytes, complete } = port
  const own = new AbortController()
  const signal = AbortSignal.any([port.signal, own.signal])
  const outcome = Promise.withResolvers<TaskResult>()
  const accepted = Promise.withResolvers<void>()
  if (port.held) accepted.resolve()
  // a handle that nobody asks for its result must not end the process
  outcome.promise.catch(() => {})
  let { id } = port
  let { held } = port
  /** What ended it before the peer had the task. */
  let refused: MeshError | null = null
  let resultWanted = false
  let iterated = false
  const queue = createEventQueue(() => !resultWanted)

  const pump = async (): Promise<void> => {
    const assembler = createAssembler(maxResultBytes, complete, port.gather)
    for await (const incoming of port.follow(signal)) {
      id = incoming.id
      held = true
      accepted.resolve()
      const event = assembler.take(incoming)
      if (event === null) continue
      if (event.kind === 'failed') outcome.reject(failureToError(event))
      if (event.kind === 'result') settle(event.output, assembler)
      await queue.push(event)
    }
    queue.finish(null)
  }
  const settle = (
    output: Parameters<typeof createTaskResult>[1],
    { artifacts }: { artifacts(): Parameters<typeof createTaskResult>[2] },
  ) => {
    try {
      outcome.resolve(createTaskResult(id, output, artifacts()))
    } catch (error) {
      outcome.reject(error)
    }
  }
  const start = async (): Promise<void> => {
    try {
      await pump()
    } catch (thrown) {
      const error = reasonOf(thrown, signal)
      if (!held) refused = error
      outcome.reject(error)
      queue.finish(error)
      // as far as the peer can be reached; if not, it notices that its caller has gone
      if (port.signal.aborted && !port.detached)
        await port.cancel(id, error.message).catch(() => {})
    } finally {
      signal.removeEventListener('abort', queue.giveUp)
      accepted.resolve()
      port.onEnd()
    }
  }
  const replay = async function* (after: number): AsyncGenerator<TaskEvent, void, void> {
    // before that the peer would not know it
    await accepted.promise
    if (refused !== null) throw refused
    const assembler = createAssembler(maxResultBytes, after === 0, false)
    try {
      for await (const incoming of port.replay(id, after, signal)) {
        const event = assembler.take(incoming)
        if (event !== null) yield event
      }
    } catch (thrown) {
      throw reasonOf(thrown, signal)
    }
  }
  const iterate = async function* (): AsyncGenerator<TaskEvent, void, void> {
    if (iterated) return yield* replay(0)
    iterated = true
    let last = 0
    try {
      for (;;) {
        const event = await queue.take()
        if (event === 'end') return
        if (event === 'gone') return yield* replay(last)
        last = event.seq
        yield event
      }
    } finally {
      // whoever leaves the loop no longer holds the stream up
      queue.giveUp()
    }
  }

  /** The id is named even when there is only one, so that an answer that is repeated cannot go to the next question. */
  const openQuestions = async (): Promise<readonly string[]> => {
    // of the peer, not of the events so far: somebody else may have answered while this handle's stream was broken
    const open = (await port.get(id)).pendingInputs
    if (open.length > 1)
      throw new TypeError('inputId: several questions are open, so name the one that is answered')
    return open
  }

  signal.addEventListener('abort', queue.giveUp, { once: true })
  // a turn later, so that whoever made the handle can iterate before the first event
  queueMicrotask(() => void start())
  return Object.freeze({
    get id() {
      return id
    },
    peer: port.peer,
    result() {
      resultWanted = true
      // the result must come even where nobody takes the events
      if (!iterated || queue.isFull()) queue.giveUp()
      return outcome.promise
    },
    async sendInput(answer: Content, inputId?: string) {
      const parts = toParts(answer)
      const [question] = inputId === undefined ? await openQuestions() : [inputId]
      return port.sendInput(id, question ?? '', parts)
    },
    async cancel(reason = 'the caller cancelled it') {
      const timer = setTimeout(() => accepted.resolve(), ACCEPT_WAIT_MS)
      await accepted.promise
      clearTimeout(timer)
      try {
        return await port.cancel(id, reason)
      } catch (error) {
        // it never got there, or cannot be reached: at least this side lets go of it
        own.abort(new MeshError('MESH_TASK_CANCELED', reason))
        throw error
      }
    },
    [Symbol.asyncIterator]: iterate,
  })
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
