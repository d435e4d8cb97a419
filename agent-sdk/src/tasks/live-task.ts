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
  const { store, orphanGraceMs, now } = options
  const { caller, id, detached, deadlineMs } = options.record
  const controller = new AbortController()
  const listeners = new Set<() => void>()
  let { record } = options
  let over: 'ended' | 'interrupted' | null = null
  let followers = 0
  let stopOrphan = () => {}
  let noticed = false

  // later in the turn, so that all events of the turn are one write to disk
  const notify = () => {
    if (noticed) return
    noticed = true
    setImmediate(() => {
      noticed = false
      for (const listener of [...listeners]) listener()
    })
  }
  const append = (body: OutgoingBody, change: Omit<TaskChange, 'updatedMs'> = {}) => {
    const at = now()
    const seq = record.lastSeq + 1
    const bytes = encodeEvent({ id, seq, time: new Date(at) }, body)
    if (bytes.length > EVENT_BYTES)
      throw new MeshError('MESH_LIMIT_SIZE', `an event takes ${bytes.length} bytes`)
    record = store.append(caller, id, { seq, bytes }, { ...change, updatedMs: at })
    notify()
  }
  const stop = (how: 'ended' | 'interrupted', reason: MeshError) => {
    stopDeadline()
    stopOrphan()
    over = how
    notify()
    options.onEnd()
    controller.abort(reason)
  }
  const end = (body: OutgoingBody, change: Omit<TaskChange, 'updatedMs'>, reason: MeshError) => {
    try {
      append(body, { ...change, endedMs: now() })
      stop('ended', reason)
    } catch (error) {
      // the store takes nothing any more: what follows the task is told so when it reads on
      if (!(error instanceof MeshError)) throw error
      stop('interrupted', error)
    }
  }
  const fail = (why: Failure, reason: MeshError) => {
    if (over !== null) return
    const message = why.message.slice(0, MESSAGE_LENGTH).toWellFormed()
    const hint = why.hint?.slice(0, MESSAGE_LENGTH).toWellFormed()
    const failure = Object.freeze({ ...why, message, ...(hint === undefined ? {} : { hint }) })
    end({ kind: 'failed', ...failure }, { state: failure.state, failure }, reason)
  }
  const failWith = (error: MeshError, state: Failure['state']) =>
    fail(failureOf(error, state), error)
  const watchForOrphan = () => {
    if (detached || over !== null) return
    stopOrphan = startTimer(orphanGraceMs, () =>
      failWith(new MeshError('MESH_TASK_ORPHANED'), 'orphaned'),
    )
  }
  const guarded = (write: () => void) => {
    if (over !== null) return
    try {
      write()
    } catch (error) {
      if (error instanceof MeshError) failWith(error, 'failed')
      throw error
    }
  }
  const stopDeadline =
    deadlineMs === null
      ? () => {}
      : startTimer(deadlineMs - now(), () =>
          failWith(new MeshError('MESH_TASK_EXPIRED'), 'expired'),
        )
  watchForOrphan()

  const live: LiveTask = {
    caller,
    id,
    signal: controller.signal,
    record: () => record,
    ended: () => over !== null,
    interrupted: () => over === 'interrupted',
    emit: (body, change) => guarded(() => append(body, change)),
    save: (json) => guarded(() => store.save(caller, id, json)),
    async settled() {
      controller.signal.throwIfAborted()
      await new Promise(setImmediate)
      controller.signal.throwIfAborted()
      store.flush()
    },
    complete(output) {
      if (over !== null) return
      const pieces = cutResult(output.map(encodePart))
      const last = pieces.pop()
      if (last === undefined) return
      for (const piece of pieces) live.emit({ kind: 'result', piece })
      const reason = new MeshError('MESH_CALL_CANCELED', 'the task has ended')
      end({ kind: 'result', piece: last }, { state: 'completed' }, reason)
    },
    fail(failure) {
      fail(failure, new MeshError('MESH_TASK_CANCELED', failure.message))
    },
    interrupt() {
      if (over !== null) return
      stop('interrupted', new MeshError('MESH_PEER_DRAINING', 'the agent is shutting down'))
      store.letGo(caller, id)
    },
    attach() {
      followers += 1
      stopOrphan()
      let gone = false
      return () => {
        if (gone) return
        gone = true
        followers -= 1
        if (followers === 0) watchForOrphan()
      }
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  return live
}
