/** One task at a peer, for its handle: the streams and the calls about it, its deadline, and the signals that let go of it. */
import { isUuidV7, METADATA_ROOT_ID, MeshError, parseTraceparent } from '@clawmesh/proto'
import type { ClientReadableStream } from '@grpc/grpc-js'
import { startTimer } from '../model/long-timer.ts'
import type { Part } from '../model/part.ts'
import type { TaskInfo } from '../model/task-event.ts'
import type { IncomingEvent } from '../wire/event-codec.ts'
import { messages, type WireDelegateRequest, type WireEvent } from '../wire/messages.ts'
import { encodePart } from '../wire/part-codec.ts'
import { decodeTask, encodeCancel } from '../wire/request-codec.ts'
import type { CallChoices, Connection, Method } from './connection.ts'
import { type FollowOptions, follow } from './follow.ts'
import type { DelegationPort } from './followed-delegation.ts'
import { methods } from './methods.ts'
import { metadataOfTask, type Propagated } from './propagation.ts'
import { refuseInsideResult } from './refuse-inside-result.ts'
import type { UnaryCall } from './retry-unary.ts'

/** What the tasks of one agent share. */
export interface PeerTaskContext {
  readonly connection: Pick<Connection, 'stream'>
  readonly unary: UnaryCall
  /** How each stream is followed. */
  readonly following: Omit<FollowOptions, 'delegate' | 'watch' | 'id' | 'afterSeq' | 'signal'>
  readonly maxResultBytes: number
  /** Aborts when the agent lets go of what it delegated; tasks are still cancelled then. */
  readonly letGo: AbortSignal
  /** Aborts when the agent is closed. */
  readonly signal: AbortSignal
  readonly now: () => number
  /** @throws MeshError MESH_TASK_OUTPUT_INVALID */
  checkOutput(peer: string, skill: string, output: readonly Part[]): void
  onEnd(task: PeerTask): void
}

/** How a task is followed. */
export interface Following {
  readonly signal: AbortSignal | undefined
  readonly deadline: Date | null
  /** Letting go of it does not cancel it. */
  readonly detached: boolean
  /** Bytes of artifacts are kept for the result. */
  readonly gather: boolean
  readonly propagated: Propagated
}

export interface PeerTaskOptions {
  /** Full name of the peer. */
  readonly authority: string
  readonly id: string
  readonly afterSeq: number
  readonly following: Following
  /** The call that gives the task to the peer; null when only watching. */
  readonly start: {
    readonly request: WireDelegateRequest
    readonly metadata: Readonly<Record<string, string>>
  } | null
  /** Called once, with the error or null. */
  onOutcome(failure: unknown): void
}

// room for what surrounds the message in 4 MiB
const REQUEST_BYTES = 3.5 * 1024 * 1024
// the peer's clock ends a task at its deadline; ours gives its word so long to arrive
const DEADLINE_SLACK_MS = 5_000

export class PeerTask implements DelegationPort {
  readonly id: string
  readonly peer: string
  readonly traceId: string
  readonly complete: boolean
  readonly maxResultBytes: number
  readonly detached: boolean
  readonly held: boolean
  readonly gather: boolean
  readonly signal: AbortSignal
  readonly onOutcome: (failure: unknown) => void
  readonly #context: PeerTaskContext
  readonly #afterSeq: number
  readonly #propagated: Propagated
  readonly #start: PeerTaskOptions['start']
  /** When the calls about it are given up, in milliseconds since the epoch. */
  readonly #lastMs: number | undefined
  /** Of the tree, as the gateway says it with its first answer. */
  #rootId: string | null = null
  readonly #stopClock: (() => void) | undefined
  readonly #callers: ReturnType<typeof reasoned>

  constructor(
    context: PeerTaskContext,
    { authority, id, afterSeq, following, start, onOutcome }: PeerTaskOptions,
  ) {
    const { deadline } = following
    this.#context = context
    this.#afterSeq = afterSeq
    this.#propagated = following.propagated
    this.#start = start
    this.onOutcome = onOutcome
    this.#callers = reasoned(following.signal)
    const timeout = new AbortController()
    if (deadline !== null) {
      this.#lastMs = deadline.getTime() + DEADLINE_SLACK_MS
      const late = () => timeout.abort(new MeshError('MESH_CALL_DEADLINE'))
      this.#stopClock = startTimer(this.#lastMs - context.now(), late)
    }
    this.id = id
    this.peer = authority
    this.traceId = parseTraceparent(following.propagated.traceparent ?? '')?.traceId ?? ''
    this.complete = afterSeq === 0
    this.maxResultBytes = context.maxResultBytes
    this.detached = following.detached
    this.held = start === null
    this.gather = following.gather
    this.signal = AbortSignal.any([context.letGo, timeout.signal, this.#callers.signal])
  }

  get rootId(): string | null {
    return this.#rootId
  }

  follow(signal: AbortSignal): AsyncIterable<IncomingEvent> {
    const { id } = this
    const { connection, following } = this.#context
    const afterSeq = this.#afterSeq
    const start = this.#start
    if (start === null)
      return refuseInsideResult(this.replay(id, afterSeq, signal), () =>
        this.replay(id, afterSeq - 1, signal),
      )
    const delegate = () =>
      this.#heard(connection.stream(methods.delegate, start.request, this.#choices(start.metadata)))
    return follow({ ...following, id, afterSeq, signal, watch: this.#watch, delegate })
  }

  replay(id: string, afterSeq: number, signal: AbortSignal): AsyncIterable<IncomingEvent> {
    const { following } = this.#context
    return follow({ ...following, id, afterSeq, signal, watch: this.#watch, delegate: null })
  }

  async cancel(id: string, reason: string): Promise<TaskInfo> {
    const { unary, signal } = this.#context
    const request = encodeCancel(id, reason)
    const choices = { authority: this.peer, metadata: this.#metadataOf(id) }
    return decodeTask(await unary(methods.cancel, request, choices, signal))
  }

  async get(id: string): Promise<TaskInfo> {
    return decodeTask(await this.#patiently(methods.get, { delegation_id: id }, id))
  }

  async sendInput(id: string, inputId: string, answer: readonly Part[]): Promise<TaskInfo> {
    const request = { delegation_id: id, input_id: inputId, answer: answer.map(encodePart) }
    checkSize(messages.sendInputRequest.serialize(request).length)
    // the same answer twice is taken once
    return decodeTask(await this.#patiently(methods.sendInput, request, id))
  }

  checkOutput(skill: string | null, output: readonly Part[]): void {
    const asked = this.#start?.request.skill ?? skill
    if (asked !== null) this.#context.checkOutput(this.peer, asked, output)
  }

  onEnd(): void {
    this.#stopClock?.()
    this.#callers.release()
    this.#context.onEnd(this)
  }

  /** The task waits for an answer, and is looked for as long, unless its caller has let go of it. */
  async #patiently<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    id: string,
  ): Promise<Response> {
    const { unary, signal, following } = this.#context
    const choices = {
      ...{ authority: this.peer, metadata: this.#metadataOf(id), forMs: following.giveUpMs },
    }
    // a detached task goes on, and may ask
    if (this.detached) return unary(method, request, choices, signal)
    try {
      return await unary(method, request, choices, AbortSignal.any([signal, this.signal]))
    } catch (error) {
      throw this.signal.aborted ? this.signal.reason : error
    }
  }

  readonly #watch = (id: string, afterSeq: number): ClientReadableStream<WireEvent> =>
    this.#heard(
      this.#context.connection.stream(
        methods.watch,
        { delegation_id: id, after_seq: afterSeq },
        this.#choices(this.#metadataOf(id)),
      ),
    )

  #heard(stream: ClientReadableStream<WireEvent>): ClientReadableStream<WireEvent> {
    return stream.on('metadata', (head) => {
      const [rootId] = head.get(METADATA_ROOT_ID)
      if (typeof rootId === 'string' && isUuidV7(rootId)) this.#rootId = rootId
    })
  }

  #choices(metadata: Readonly<Record<string, string>>): Omit<CallChoices, 'signal'> {
    const deadline = this.#lastMs
    return { authority: this.peer, metadata, ...(deadline === undefined ? {} : { deadline }) }
  }

  #metadataOf(id: string): Readonly<Record<string, string>> {
    return metadataOfTask(this.#propagated, id, this.#context.now())
  }
}

/** @throws MeshError MESH_LIMIT_SIZE for a request that does not fit into a message */
export function checkSize(bytes: number): void {
  if (bytes > REQUEST_BYTES)
    throw new MeshError(
      'MESH_LIMIT_SIZE',
      `the input takes ${bytes} bytes of at most ${REQUEST_BYTES}`,
    )
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
