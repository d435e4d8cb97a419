/**
 * Runs the skills of an agent: starts tasks or attaches to them, ends them, lets streams read their events.
 * Knows callers by their identity and nothing of gRPC.
 */
import { type AgentIdentity, MeshError } from '@clawmesh/proto'
import type { Log } from '../log.ts'
import type { TaskRequest } from '../wire/request-codec.ts'
import { createLiveTask, type LiveTask } from './live-task.ts'
import { jsonOf, textOf, toParts } from './part.ts'
import type { Skill, Task } from './skill.ts'
import { createTaskContext, type Outward, withFields } from './skill-context.ts'
import type { TaskInfo } from './task-event.ts'
import type { StoredEvent, TaskRecord, TaskStore } from './task-store.ts'

export interface TaskHostOptions {
  readonly skills: Readonly<Record<string, Skill>>
  readonly store: TaskStore
  readonly log: Log
  /** How long a task that is not detached goes on without anybody following it, in milliseconds. */
  readonly orphanGraceMs: number
  /** Tasks that may run at once. */
  readonly maxRunning: number
  readonly now: () => number
  /** What the skills of one task reach the world with, and what they run within. */
  outward(origin: TaskOrigin, live: LiveTask): Omit<Outward, 'log'> & Scoped
}

interface Scoped {
  /** Runs the skill: whatever it does, it does for the task. */
  enter<T>(skill: () => T): T
}

/** How a task came in: what its own delegations hand on. */
export interface TaskOrigin {
  readonly traceparent: string | null
  readonly delegationToken: string | null
}

/** One stream's place in the events of a task. */
export interface TaskReader {
  /** Of the task read: not the id asked for, when a key led to it. */
  readonly id: string
  /** The next event, or null when there is none yet. @throws MeshError MESH_TASK_NOT_FOUND when the task is kept no longer */
  next(): StoredEvent | null
  /** True when the task has ended and all of it was read. */
  done(): boolean
  onChange(listener: () => void): void
  close(): void
}

export interface TaskHost {
  /** @throws MeshError MESH_TASK_CONFLICT, MESH_TASK_SKILL_UNKNOWN, MESH_TASK_STORE_FULL, MESH_TASK_EXPIRED, MESH_PEER_DRAINING … */
  delegate(caller: AgentIdentity, asked: AskedTask, origin: TaskOrigin): TaskReader
  /** @throws MeshError MESH_TASK_NOT_FOUND, MESH_TASK_CURSOR_INVALID */
  watch(caller: AgentIdentity, id: string, afterSeq: number): TaskReader
  /** @throws MeshError MESH_TASK_NOT_FOUND */
  get(caller: AgentIdentity, id: string): TaskInfo
  /** @throws MeshError MESH_TASK_NOT_FOUND */
  cancel(caller: AgentIdentity, id: string, reason: string): TaskInfo
  /** Takes no new tasks, lets those that run end, and cancels what is left after `graceMs` milliseconds. */
  drain(graceMs: number): Promise<void>
}

export interface AskedTask {
  readonly request: TaskRequest
  readonly contentHash: string
  readonly inputBytes: number
}

export function createTaskHost(options: TaskHostOptions): TaskHost {
  const { store, log, orphanGraceMs, maxRunning, now } = options
  const skills = new Map(Object.entries(options.skills))
  const running = new Map<string, LiveTask>()
  const emptied = new Set<() => void>()
  let draining = false

  const find = (caller: AgentIdentity, id: string): TaskRecord => {
    const record = store.get(caller.id, id)
    if (record === null) throw new MeshError('MESH_TASK_NOT_FOUND')
    return record
  }
  const read = (record: TaskRecord, afterSeq: number): TaskReader => {
    const { caller, id } = record
    const live = running.get(keyOf(caller, id))
    const detach = live?.attach()
    const stops: (() => void)[] = []
    let seq = afterSeq
    return {
      id,
      next() {
        const event = store.eventAfter(caller, id, seq)
        if (event !== null) seq = event.seq
        else if (store.get(caller, id) === null) throw new MeshError('MESH_TASK_NOT_FOUND')
        return event
      },
      done() {
        const latest = store.get(caller, id)
        return latest === null || (latest.endedMs !== null && latest.lastSeq === seq)
      },
      onChange(listener) {
        const stop = live?.onChange(listener)
        if (stop !== undefined) stops.push(stop)
      },
      close() {
        for (const stop of stops) stop()
        detach?.()
      },
    }
  }
  const existing = (caller: AgentIdentity, { request, contentHash }: AskedTask) => {
    const { id, idempotencyKey } = request
    const byId = store.get(caller.id, id)
    const byKey = idempotencyKey === null ? null : store.findByKey(caller.id, idempotencyKey)
    const found = byId ?? byKey
    if (found === null) return null
    const other = byId !== null && byKey !== null && byId.id !== byKey.id
    if (
      found.contentHash !== contentHash ||
      other ||
      (byId?.idempotencyKey ?? idempotencyKey) !== idempotencyKey
    )
      throw new MeshError('MESH_TASK_CONFLICT')
    return found
  }
  const run = async (skill: Skill, task: Task, live: LiveTask, origin: TaskOrigin) => {
    const fields = { delegation_id: task.id, skill: task.skill, caller: task.caller.id }
    const taskLog = withFields(log, fields)
    try {
      live.emit({ kind: 'status', state: 'working', note: '' }, { state: 'working' })
      const { enter, ...outward } = options.outward(origin, live)
      const context = createTaskContext(live, { ...outward, log: taskLog })
      live.complete(toParts(await enter(() => skill(task, context))))
    } catch (error) {
      if (live.ended()) {
        taskLog.debug({ err: error }, 'the skill threw after the end of its task')
        return
      }
      if (!(error instanceof MeshError)) taskLog.error({ err: error }, 'the skill failed')
      const shown = error instanceof MeshError ? error : new MeshError('MESH_TASK_FAILED')
      live.fail({
        state: shown.code === 'MESH_TASK_REJECTED' ? 'rejected' : 'failed',
        code: shown.code,
        message: shown.publicMessage,
        retryable: shown.row.retryable,
      })
    }
  }
  const start = (caller: AgentIdentity, asked: AskedTask, origin: TaskOrigin): TaskRecord => {
    const { request, contentHash, inputBytes } = asked
    const skill = skills.get(request.skill)
    const deadlineMs = request.deadline?.getTime() ?? null
    if (draining) throw new MeshError('MESH_PEER_DRAINING', undefined, { retryAfterMs: 1_000 })
    if (skill === undefined) throw new MeshError('MESH_TASK_SKILL_UNKNOWN')
    if (deadlineMs !== null && deadlineMs <= now()) throw new MeshError('MESH_TASK_EXPIRED')
    if (running.size >= maxRunning)
      throw new MeshError('MESH_LIMIT_CONCURRENCY', 'the agent runs as many tasks as it may')
    const { id, labels, detached, idempotencyKey } = request
    const record = store.create({
      ...{ caller: caller.id, id, idempotencyKey, contentHash, inputBytes },
      ...{ skill: request.skill, labels, detached, deadlineMs, createdMs: now() },
    })
    const key = keyOf(caller.id, id)
    const onEnd = () => {
      running.delete(key)
      if (running.size === 0) for (const listener of emptied) listener()
    }
    const live = createLiveTask({ store, record, orphanGraceMs, now, onEnd })
    running.set(key, live)
    live.emit({ kind: 'accepted', skill: request.skill, retentionMs: store.retentionMs })
    const task: Task = Object.freeze({
      ...{ id, skill: request.skill, input: request.input, caller, labels },
      deadline: request.deadline,
      text: () => textOf(request.input),
      json: () => jsonOf(request.input),
    })
    // a turn later: the stream that asked is attached first
    setImmediate(() => void run(skill, task, live, origin))
    return record
  }

  return {
    delegate: (caller, asked, origin) =>
      read(existing(caller, asked) ?? start(caller, asked, origin), 0),
    watch(caller, id, afterSeq) {
      const record = find(caller, id)
      if (!Number.isSafeInteger(afterSeq) || afterSeq < 0 || afterSeq > record.lastSeq)
        throw new MeshError('MESH_TASK_CURSOR_INVALID')
      return read(record, afterSeq)
    },
    get: (caller, id) => infoOf(find(caller, id)),
    cancel(caller, id, reason) {
      const record = find(caller, id)
      running.get(keyOf(caller.id, record.id))?.fail(canceled(reason || 'the caller cancelled it'))
      return infoOf(find(caller, id))
    },
    async drain(graceMs) {
      draining = true
      if (running.size === 0) return
      const { promise, resolve } = Promise.withResolvers<void>()
      emptied.add(resolve)
      const timer = setTimeout(() => {
        for (const live of [...running.values()]) live.fail(canceled('the agent is shutting down'))
      }, graceMs)
      await promise
      clearTimeout(timer)
    },
  }
}

function canceled(reason: string) {
  const code = 'MESH_TASK_CANCELED'
  return { state: 'canceled' as const, code, message: reason, retryable: false }
}

function infoOf(record: TaskRecord): TaskInfo {
  const { id, skill, state, caller, createdMs, updatedMs, lastSeq, labels, failure } = record
  const times = { created: new Date(createdMs), updated: new Date(updatedMs) }
  return Object.freeze({ id, skill, state, caller, ...times, lastSeq, labels, failure })
}

// a NUL can be in neither a SPIFFE ID nor a UUID
function keyOf(caller: string, id: string): string {
  return `${caller}\0${id}`
}
