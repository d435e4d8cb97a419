/** Delegations to peers over the connection to the gateway. */
import { isUuidV7, MeshError, uuidV7 } from '@clawmesh/proto'
import { checkOptions, optionNames } from '../check-options.ts'
import type { Log } from '../log.ts'
import { startTimer } from '../model/long-timer.ts'
import { toParts } from '../model/part.ts'
import type { TaskFilter, TaskInfo } from '../model/task-event.ts'
import { messages } from '../wire/messages.ts'
import { encodePart } from '../wire/part-codec.ts'
import { decodeTask, encodeRequest, isSkillName, REQUEST_LIMITS } from '../wire/request-codec.ts'
import { encodeState } from '../wire/state-codec.ts'
import type { CallChoices, Connection } from './connection.ts'
import {
  createDelegation,
  DELEGATE_OPTIONS,
  type DelegateOptions,
  type Delegation,
} from './delegation.ts'
import type { FirstContact } from './first-contact.ts'
import { follow } from './follow.ts'
import { methods } from './methods.ts'
import {
  metadataOfDelegate,
  metadataOfTask,
  NOTHING_PROPAGATED,
  type Propagated,
} from './propagation.ts'
import { refuseInsideResult } from './refuse-inside-result.ts'
import { retryUnary } from './retry-unary.ts'

/** How long an agent waits and retries (retry limits) when a connection breaks. Milliseconds. */
export interface Patience {
  /** A stream that is silent for so long, in milliseconds, is taken for lost. Default 60,000: four heartbeats. */
  readonly idleMs?: number
  /** How long a running task is looked for after its stream broke, in milliseconds. Default 120,000. */
  readonly giveUpMs?: number
  /** How long a call that does not get through is tried again, in milliseconds. Default 20,000. */
  readonly startGiveUpMs?: number
  /**
   * How long calls of any kind wait for a gateway that was never reached, in milliseconds. Default 2,500. Raise it where an agent
   * calls before its gateway has started. `serve` waits for ever.
   */
  readonly connectGiveUpMs?: number
}

export interface PeerClientOptions {
  readonly connection: Connection
  readonly contact: Pick<FirstContact, 'begin'>
  readonly patience: Required<Omit<Patience, 'connectGiveUpMs'>> & Pick<Patience, 'connectGiveUpMs'>
  readonly maxResultBytes: number
  /** Aborts when the agent lets go of what it delegated; tasks are still cancelled then. */
  readonly letGo: AbortSignal
  /** Aborts when the agent is closed. */
  readonly signal: AbortSignal
  readonly refusal: () => MeshError | null
  readonly log: Log
  readonly now: () => number
}

export interface PeerClient {
  /** @param authority full name of the peer. @throws TypeError, MeshError MESH_LIMIT_SIZE */
  delegate(authority: string, options: DelegateOptions, propagated?: Propagated): Delegation
  watch(authority: string, id: string, afterSeq: number, options?: LookOptions): Delegation
  get(authority: string, id: string, options?: LookOptions): Promise<TaskInfo>
  /** The newest first. */
  list(authority: string, filter: TaskFilter, options?: LookOptions): AsyncIterable<TaskInfo>
  /** Resolves when all that was let go of has ended here, and the peers have been told. */
  settled(): Promise<void>
}

export interface LookOptions {
  readonly propagated?: Propagated
  /** Stops looking. */
  readonly signal?: AbortSignal
  readonly artifacts?: 'gather' | 'stream'
}

/** How a task is followed. */
interface Following {
  readonly signal: AbortSignal | undefined
  readonly deadline: Date | null
  /** Letting go of it does not cancel it. */
  readonly detached: boolean
  /** Bytes of artifacts are kept for the result. */
  readonly gather: boolean
  readonly propagated: Propagated
}

const FILTER_OPTIONS = optionNames<TaskFilter>({ states: true, labels: true })
// room for what surrounds the message in 4 MiB
const REQUEST_BYTES = 3.5 * 1024 * 1024
// the peer's clock ends a task at its deadline; ours gives its word so long to arrive
const DEADLINE_SLACK_MS = 5_000

export function createPeerClient(options: PeerClientOptions): PeerClient {
  const { connection, contact, patience, maxResultBytes, refusal, log, now } = options
  const active = new Set<string>()
  let settle = () => {}

  const unary = retryUnary({ connection, contact, refusal })
  const get = async (
    authority: string,
    id: string,
    metadata: Readonly<Record<string, string>>,
    until: AbortSignal,
  ) => decodeTask(await unary(methods.get, { delegation_id: id }, { authority, metadata }, until))

  const make = (
    authority: string,
    id: string,
    afterSeq: number,
    { signal: letGoOf, deadline, detached, gather, propagated }: Following,
    start: {
      readonly request: ReturnType<typeof encodeRequest>
      readonly metadata: Readonly<Record<string, string>>
    } | null,
  ): Delegation => {
    const timeout = new AbortController()
    const callers = reasoned(letGoOf)
    const lastMs = deadline === null ? undefined : deadline.getTime() + DEADLINE_SLACK_MS
    const stopClock =
      lastMs === undefined
        ? () => {}
        : startTimer(lastMs - now(), () => timeout.abort(new MeshError('MESH_CALL_DEADLINE')))
    const choices = (metadata: Readonly<Record<string, string>>): Omit<CallChoices, 'signal'> => ({
      authority,
      metadata,
      ...(lastMs === undefined ? {} : { deadline: lastMs }),
    })
    const metadataOf = (task: string) => metadataOfTask(propagated, task, now())
    const watch = (task: string, seq: number) =>
      connection.stream(
        methods.watch,
        { delegation_id: task, after_seq: seq },
        choices(metadataOf(task)),
      )
    const common = { ...patience, contact, refusal, log }
    const resume = (task: string, seq: number, signal: AbortSignal) =>
      follow({ ...common, id: task, afterSeq: seq, signal, watch, delegate: null })
    const handle = `${id} ${uuidV7()}`
    active.add(handle)
    return createDelegation({
      id,
      peer: authority,
      complete: afterSeq === 0,
      maxResultBytes,
      detached,
      held: start === null,
      gather,
      signal: AbortSignal.any([options.letGo, timeout.signal, callers.signal]),
      follow: (signal) =>
        start === null
          ? refuseInsideResult(resume(id, afterSeq, signal), () => resume(id, afterSeq - 1, signal))
          : follow({
              ...common,
              ...{ id, afterSeq, signal, watch },
              delegate: () =>
                connection.stream(methods.delegate, start.request, choices(start.metadata)),
            }),
      replay: resume,
      cancel: async (task, reason) =>
        decodeTask(
          await unary(
            methods.cancel,
            { delegation_id: task, reason: reason.slice(0, REQUEST_LIMITS.reasonLength) },
            { authority, metadata: metadataOf(task) },
            options.signal,
          ),
        ),
      get: (task) => get(authority, task, metadataOf(task), options.signal),
      sendInput: async (task, inputId, answer) => {
        const request = { delegation_id: task, input_id: inputId, answer: answer.map(encodePart) }
        checkSize(messages.sendInputRequest.serialize(request).length)
        const choices = { authority, metadata: metadataOf(task) }
        return decodeTask(await unary(methods.sendInput, request, choices, options.signal))
      },
      onEnd() {
        stopClock()
        callers.release()
        active.delete(handle)
        if (active.size === 0) settle()
      },
    })
  }

  return {
    delegate(authority, asked, propagated = NOTHING_PROPAGATED) {
      checkOptions(asked, DELEGATE_OPTIONS, 'delegate')
      const id = uuidV7(now())
      const deadline = deadlineOf(asked, now())
      const metadata = metadataOfDelegate(propagated, id, deadline, asked.narrow)
      if (!isSkillName(asked.skill)) throw new TypeError('skill: is not a name')
      const request = encodeRequest({
        id,
        skill: asked.skill,
        input: toParts(asked.input),
        idempotencyKey: asked.idempotencyKey ?? null,
        deadline,
        detached: asked.detached ?? false,
        labels: asked.labels ?? {},
      })
      checkSize(messages.delegateRequest.serialize(request).length)
      const { signal, detached = false } = asked
      const gather = asked.artifacts !== 'stream'
      const following = { signal, deadline, detached, gather, propagated }
      return make(authority, id, 0, following, { request, metadata })
    },
    watch(authority, id, afterSeq, { propagated = NOTHING_PROPAGATED, signal, artifacts } = {}) {
      checkId(id)
      if (!Number.isSafeInteger(afterSeq) || afterSeq < 0)
        throw new TypeError('afterSeq: must be the seq of an event, or 0')
      return make(
        authority,
        id,
        afterSeq,
        { signal, deadline: null, detached: true, gather: artifacts !== 'stream', propagated },
        null,
      )
    },
    async get(authority, id, { propagated = NOTHING_PROPAGATED, signal } = {}) {
      checkId(id)
      const metadata = metadataOfTask(propagated, id, now())
      const until =
        signal === undefined ? options.signal : AbortSignal.any([options.signal, signal])
      return get(authority, id, metadata, until)
    },
    async *list(authority, filter, { propagated = NOTHING_PROPAGATED, signal } = {}) {
      checkOptions(filter, FILTER_OPTIONS, 'list')
      const { states = [], labels = {} } = filter
      const until =
        signal === undefined ? options.signal : AbortSignal.any([options.signal, signal])
      const metadata = metadataOfTask(propagated, '', now())
      const wanted = { states: states.map(encodeState), labels: { ...labels }, page_size: 0 }
      let page_token = ''
      do {
        const request = { ...wanted, page_token }
        const page = await unary(methods.list, request, { authority, metadata }, until)
        yield* page.tasks.map(decodeTask)
        page_token = page.next_page_token
      } while (page_token !== '')
    },
    async settled() {
      if (active.size === 0) return
      await new Promise<void>((resolve) => {
        settle = resolve
      })
    },
  }
}

function checkSize(bytes: number): void {
  if (bytes > REQUEST_BYTES)
    throw new MeshError(
      'MESH_LIMIT_SIZE',
      `the input takes ${bytes} bytes of at most ${REQUEST_BYTES}`,
    )
}

function checkId(id: string): void {
  if (!isUuidV7(id)) throw new TypeError('id: must be the id of a delegation, a UUIDv7')
}

function deadlineOf({ deadline, deadlineMs }: DelegateOptions, nowMs: number): Date | null {
  if (deadline !== undefined && deadlineMs !== undefined)
    throw new TypeError('deadline: give deadline or deadlineMs, not both')
  if (deadlineMs !== undefined && !(deadlineMs > 0))
    throw new TypeError('deadlineMs: must be a number above 0')
  const at = deadline ?? (deadlineMs === undefined ? null : new Date(nowMs + deadlineMs))
  if (at !== null && Number.isNaN(at.getTime())) throw new TypeError('deadline: is no date')
  return at
}

/** The caller's signal, its reason as a MeshError; let go of when the delegation has ended. */
function reasoned(signal: AbortSignal | undefined): { signal: AbortSignal; release(): void } {
  const controller = new AbortController()
  const abort = () => {
    const cause: unknown = signal?.reason
    const error = new MeshError('MESH_CALL_CANCELED', undefined, { cause })
    controller.abort(cause instanceof MeshError ? cause : error)
  }
  if (signal?.aborted === true) abort()
  else signal?.addEventListener('abort', abort, { once: true })
  return {
    signal: controller.signal,
    release: () => signal?.removeEventListener('abort', abort),
  }
}
