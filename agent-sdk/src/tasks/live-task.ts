/**
 * A task that runs: numbers its events, keeps its clocks, ends once.
 * Whatever the skill does after the end is dropped.
 */
import { MeshError } from '@clawmesh/proto'
import { encodeEvent, type OutgoingBody } from '../wire/event-codec.ts'
import { encodePart } from '../wire/part-codec.ts'
import { cutResult } from '../wire/pieces.ts'
import { startTimer } from './long-timer.ts'
import type { Part } from './part.ts'
import type { Failure } from './task-event.ts'
import type { TaskChange, TaskRecord, TaskStore } from './task-store.ts'

export interface LiveTask {
  readonly caller: string
  readonly id: string
  readonly signal: AbortSignal
  ended(): boolean
  /** Adds an event. After the end it does nothing. @throws MeshError when the store has no room: the task has failed then. */
  emit(body: OutgoingBody, change?: Omit<TaskChange, 'updatedMs' | 'endedMs'>): void
  complete(output: readonly Part[]): void
  fail(failure: Failure): void
  /** Somebody follows it. Returns a function that says they have gone. */
  attach(): () => void
  /** Called after each event. Returns a function that ends it. */
  onChange(listener: () => void): () => void
}

export interface LiveTaskOptions {
  readonly store: TaskStore
  readonly record: TaskRecord
  readonly orphanGraceMs: number
  readonly now: () => number
  onEnd(): void
}

export function createLiveTask(options: LiveTaskOptions): LiveTask {
  const { store, record, orphanGraceMs, now } = options
  const { caller, id } = record
  const controller = new AbortController()
  const listeners = new Set<() => void>()
  let seq = record.lastSeq
  let ended = false
  let followers = 0
  let stopOrphan = () => {}

  const append = (body: OutgoingBody, change: Omit<TaskChange, 'updatedMs'> = {}) => {
    const at = now()
    const bytes = encodeEvent({ id, seq: seq + 1, time: new Date(at) }, body)
    store.append(caller, id, { seq: seq + 1, bytes }, { ...change, updatedMs: at })
    seq += 1
    for (const listener of [...listeners]) listener()
  }
  const end = (body: OutgoingBody, change: Omit<TaskChange, 'updatedMs'>, reason: MeshError) => {
    ended = true
    stopDeadline()
    stopOrphan()
    append(body, { ...change, endedMs: now() })
    listeners.clear()
    options.onEnd()
    controller.abort(reason)
  }
  const fail = (failure: Failure, reason: MeshError) => {
    if (ended) return
    end({ kind: 'failed', ...failure }, { state: failure.state, failure }, reason)
  }
  const failWith = (error: MeshError, state: Failure['state']) => {
    const { code, publicMessage: message, row } = error
    fail({ state, code, message, retryable: row.retryable }, error)
  }
  const stopDeadline =
    record.deadlineMs === null
      ? () => {}
      : startTimer(record.deadlineMs - now(), () =>
          failWith(new MeshError('MESH_TASK_EXPIRED'), 'expired'),
        )
  const watchForOrphan = () => {
    if (record.detached || ended) return
    stopOrphan = startTimer(orphanGraceMs, () =>
      failWith(new MeshError('MESH_TASK_ORPHANED'), 'orphaned'),
    )
  }

  const live: LiveTask = {
    caller,
    id,
    signal: controller.signal,
    ended: () => ended,
    emit(body, change) {
      if (ended) return
      try {
        append(body, change)
      } catch (error) {
        if (error instanceof MeshError) failWith(error, 'failed')
        throw error
      }
    },
    complete(output) {
      if (ended) return
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
