/** The handle of a task given to a peer: its events, its result, and the way to stop it. */
import { MeshError } from '@clawmesh/proto'
import { optionNames } from '../check-options.ts'
import { type Content, toParts } from '../model/part.ts'
import type { TaskEvent, TaskInfo } from '../model/task-event.ts'
import { type DelegationPort, FollowedDelegation } from './followed-delegation.ts'
import type { Narrowing } from './propagation.ts'
import type { TaskResult } from './task-result.ts'

export type { DelegationPort } from './followed-delegation.ts'

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
  /** Of its trace, 32 lower-case hexadecimal digits: audit lines of all that is done for the task have it as `trace_id`. */
  readonly traceId: string
  /**
   * Of the tree of delegations that it is part of: audit lines of both planes have it as `root_id`. Null until the peer has the task,
   * and from an older gateway.
   */
  readonly rootId: string | null
  /**
   * What the task brought. Works with and without iterating; the same each time.
   * @throws MeshError the code of the task's failure (MESH_TASK_FAILED, MESH_TASK_CANCELED, MESH_TASK_EXPIRED, a code that the
   * skill chose), or of the call's (MESH_POLICY_NOT_ALLOWED, MESH_PEER_UNREACHABLE …)
   */
  result(): Promise<TaskResult>
  /**
   * Answers a question of the peer's, an event `input-required`; the task goes on then. May be repeated with the same answer.
   * @param inputId which question; default: the only one that is open
   * @throws MeshError MESH_TASK_INPUT_UNEXPECTED, MESH_TASK_CONFLICT when it was answered in another way, MESH_CALL_CANCELED
   * when the caller has let go of the task meanwhile
   */
  sendInput(answer: Content, inputId?: string): Promise<TaskInfo>
  /** Asks the peer to stop. Resolves with the task as it then stands. */
  cancel(reason?: string): Promise<TaskInfo>
}

// how long cancel() waits to learn that the peer has the task at all
const ACCEPT_WAIT_MS = 5_000

export function createDelegation(port: DelegationPort): Delegation {
  const own = new AbortController()
  const followed = new FollowedDelegation(port, AbortSignal.any([port.signal, own.signal]))

  /**
   * The id is named even when there is only one, so that an answer that is repeated cannot go to the next question. Where
   * none is open it would go to whatever is asked meanwhile.
   */
  const openQuestion = async (): Promise<string> => {
    // of the peer, not of the events so far: another client may have answered while this handle's stream was broken
    const [question, ...others] = (await port.get(followed.id)).pendingInputs
    if (others.length > 0)
      throw new TypeError('inputId: several questions are open, so name the one that is answered')
    if (question === undefined) throw new MeshError('MESH_TASK_INPUT_UNEXPECTED')
    return question
  }

  followed.startSoon()
  return Object.freeze({
    get id() {
      return followed.id
    },
    peer: port.peer,
    traceId: port.traceId,
    get rootId() {
      return port.rootId
    },
    result: () => followed.result(),
    async sendInput(answer: Content, inputId?: string) {
      const parts = toParts(answer)
      return port.sendInput(followed.id, inputId ?? (await openQuestion()), parts)
    },
    async cancel(reason = 'the caller cancelled it') {
      await followed.accepted(ACCEPT_WAIT_MS)
      try {
        return await port.cancel(followed.id, reason)
      } catch (error) {
        // it never got there, or cannot be reached: at least this side lets go of it
        own.abort(new MeshError('MESH_TASK_CANCELED', reason))
        throw error
      }
    },
    [Symbol.asyncIterator]: () => followed.events(),
  })
}
