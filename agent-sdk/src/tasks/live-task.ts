/**
 * A task that runs: numbers its events, keeps its clocks, ends once.
 * Whatever the skill does after the end is dropped.
 */
import { MeshError } from '@clawmesh/proto'
import { startTimer } from '../model/long-timer.ts'
import type { Part } from '../model/part.ts'
import type { Failure } from '../model/task-event.ts'
import type { TaskChange, TaskRecord, TaskStore } from '../model/task-store.ts'
import { encodeEvent, type OutgoingBody } from '../wire/event-codec.ts'
import { encodePart } from '../wire/part-codec.ts'
import { cutResult } from '../wire/pieces.ts'
import { failureOf } from './task-info.ts'

export interface LiveTask {
  readonly caller: string
  readonly id: string
  readonly signal: AbortSignal
  /** As it stands. */
  record(): TaskRecord
  /** It has ended, or was interrupted. */
  ended(): boolean
  /** It runs no more here, but has not ended. */
  interrupted(): boolean
  /** Adds an event. After the end it does nothing. @throws MeshError when the store has no room: the task has failed then. */
  emit(body: OutgoingBody, change?: Omit<TaskChange, 'updatedMs' | 'endedMs'>): void
  /** Keeps where the skill stands, together with the events of this turn. @throws MeshError when the store has no room */
  save(json: string): void
  /** Resolves when all that was told and saved so far is on disk. @throws the reason of the end when it has ended */
  settled(): Promise<void>
  complete(output: readonly Part[]): void
  fail(failure: Failure): void
  /** Lets go of it without ending it: it is to be run again later. */
  interrupt(): void
  /** Somebody follows it. Returns a function that says they have gone. */
  attach(): () => void
  /** Called after events, at most once in each turn of the event loop. Returns a function that ends it. */
  onChange(listener: () => void): () => void
}

export interface LiveTaskOptions {
  readonly store: TaskStore
  readonly record: TaskRecord
  readonly orphanGraceMs: number
  readonly now: () => number
  onEnd(): void
}

// a caller takes messages of 4 MiB
const EVENT_BYTES = 3.75 * 1024 * 1024
const MESSAGE_LENGTH = 4_096

export function createLiveTask(options: LiveTaskOptions): LiveTask {
  return new OneLiveTask(options)
}

class OneLiveTask implements LiveTask {
  readonly caller: string
  readonly id: string
  readonly signal: AbortSignal
  readonly #options: LiveTaskOptions
  readonly #controller = new AbortController()
  readonly #listeners = new Set<() => void>()
  readonly #stopDeadline: (() => void) | undefined
  #record: TaskRecord
  #over: 'ended' | 'interrupted' | null = null
  #followers = 0
  #stopOrphan: (() => void) | undefined
  /** The listeners are called later in this turn of the event loop. */
  #noticed = false

  constructor(options: LiveTaskOptions) {
    const { record, now } = options
    this.#options = options
    this.#record = record
    this.caller = record.caller
    this.id = record.id
    this.signal = this.#controller.signal
    if (record.deadlineMs !== null)
      this.#stopDeadline = startTimer(record.deadlineMs - now(), () =>
        this.#failWith(new MeshError('MESH_TASK_EXPIRED'), 'expired'),
      )
    this.#watchForOrphan()
  }

  record(): TaskRecord {
    return this.#record
  }

  ended(): boolean {
    return this.#over !== null
  }

  interrupted(): boolean {
    return this.#over === 'interrupted'
  }

  emit(body: OutgoingBody, change?: Omit<TaskChange, 'updatedMs' | 'endedMs'>): void {
    if (this.#over !== null) return
    try {
      this.#append(body, change)
    } catch (error) {
      if (error instanceof MeshError) this.#failWith(error, 'failed')
      throw error
    }
  }

  save(json: string): void {
    if (this.#over !== null) return
    try {
      this.#options.store.save(this.caller, this.id, json)
    } catch (error) {
      if (error instanceof MeshError) this.#failWith(error, 'failed')
      throw error
    }
  }

  async settled(): Promise<void> {
    this.signal.throwIfAborted()
    await new Promise(setImmediate)
    this.signal.throwIfAborted()
    this.#options.store.flush()
  }

  complete(output: readonly Part[]): void {
    if (this.#over !== null) return
    const pieces = cutResult(output.map(encodePart))
    const last = pieces.pop()
    if (last === undefined) return
    for (const piece of pieces) this.emit({ kind: 'result', piece })
    const reason = new MeshError('MESH_CALL_CANCELED', 'the task has ended')
    this.#end({ kind: 'result', piece: last }, { state: 'completed' }, reason)
  }

  fail(failure: Failure): void {
    this.#fail(failure, new MeshError('MESH_TASK_CANCELED', failure.message))
  }

  interrupt(): void {
    if (this.#over !== null) return
    this.#stop('interrupted', new MeshError('MESH_PEER_DRAINING', 'the agent is shutting down'))
    this.#options.store.letGo(this.caller, this.id)
  }

  attach(): () => void {
    this.#followers += 1
    this.#stopOrphan?.()
    let gone = false
    return () => {
      if (gone) return
      gone = true
      this.#followers -= 1
      if (this.#followers === 0) this.#watchForOrphan()
    }
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #append(body: OutgoingBody, change: Omit<TaskChange, 'updatedMs'> = {}): void {
    const { store, now } = this.#options
    const { caller, id } = this
    const at = now()
    const seq = this.#record.lastSeq + 1
    const bytes = encodeEvent({ id, seq, time: new Date(at) }, body)
    if (bytes.length > EVENT_BYTES)
      throw new MeshError('MESH_LIMIT_SIZE', `an event takes ${bytes.length} bytes`)
    this.#record = store.append(caller, id, { seq, bytes }, { ...change, updatedMs: at })
    this.#notify()
  }

  /** Later in the turn, so that all events of the turn are one write to disk. */
  #notify(): void {
    if (this.#noticed) return
    this.#noticed = true
    setImmediate(() => {
      this.#noticed = false
      for (const listener of [...this.#listeners]) listener()
    })
  }

  #watchForOrphan(): void {
    if (this.#record.detached || this.#over !== null) return
    this.#stopOrphan = startTimer(this.#options.orphanGraceMs, () =>
      this.#failWith(new MeshError('MESH_TASK_ORPHANED'), 'orphaned'),
    )
  }

  #failWith(error: MeshError, state: Failure['state']): void {
    this.#fail(failureOf(error, state), error)
  }

  #fail(why: Failure, reason: MeshError): void {
    if (this.#over !== null) return
    const message = why.message.slice(0, MESSAGE_LENGTH).toWellFormed()
    const hint = why.hint?.slice(0, MESSAGE_LENGTH).toWellFormed()
    const failure = Object.freeze({ ...why, message, ...(hint === undefined ? {} : { hint }) })
    this.#end({ kind: 'failed', ...failure }, { state: failure.state, failure }, reason)
  }

  #end(body: OutgoingBody, change: Omit<TaskChange, 'updatedMs'>, reason: MeshError): void {
    try {
      this.#append(body, { ...change, endedMs: this.#options.now() })
      this.#stop('ended', reason)
    } catch (error) {
      // the store takes nothing any more: the streams that follow the task get this error with their next read
      if (!(error instanceof MeshError)) throw error
      this.#stop('interrupted', error)
    }
  }

  #stop(how: 'ended' | 'interrupted', reason: MeshError): void {
    this.#stopDeadline?.()
    this.#stopOrphan?.()
    this.#over = how
    this.#notify()
    this.#options.onEnd()
    this.#controller.abort(reason)
  }
}
