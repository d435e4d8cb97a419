/**
 * Runs the skills of an agent: starts tasks or attaches to them, ends them, lets streams read their events, and goes
 * on with what an earlier process left. Knows callers by their identity and nothing of gRPC.
 */
import { type AgentIdentity, MeshError, nearest } from '@clawmesh/proto'
import type { Log } from '../log.ts'
import type { TaskInfo } from '../model/task-event.ts'
import type { Checkpoint, LeftTask, TaskQuery, TaskRecord, TaskStore } from '../model/task-store.ts'
import type { SentInput } from '../wire/list-codec.ts'
import { messages } from '../wire/messages.ts'
import { encodeRequest, type TaskRequest } from '../wire/request-codec.ts'
import { createLiveTask, type LiveTask } from './live-task.ts'
import { mendStore } from './mend-store.ts'
import { checkAnswer, createQuestions, type Questions } from './questions.ts'
import { type RunOptions, runTask } from './run-task.ts'
import { createRunningShares, type RunningSharesOptions } from './running-shares.ts'
import type { Skill, SkillWithOptions, Task } from './skill.ts'
import { failureOf, infoOf, sizeOf } from './task-info.ts'
import { requestOf, taskOf } from './task-of-request.ts'
import { createTaskReader, type TaskReader } from './task-reader.ts'

export interface TaskHostOptions {
  readonly skills: Readonly<Record<string, Skill | SkillWithOptions>>
  readonly store: TaskStore
  /** The store outlives this host: what can be run again is let go of at the end rather than cancelled. */
  readonly storeStays: boolean
  readonly log: Log
  /** How long a task that is not detached goes on without an open stream to its caller, in milliseconds. */
  readonly orphanGraceMs: number
  /** How many tasks may run at once: in all, per tenant and per caller. */
  readonly running: RunningSharesOptions
  /** How long a task waits for the answer to a question, in milliseconds. */
  readonly inputTimeoutMs: number
  readonly now: () => number
  /** Whether tasks are taken, when that changes: not while the store cannot be written. */
  onServing(serving: boolean): void
  /** Null for what is no agent of this mesh. */
  identify(id: string): AgentIdentity | null
  /** Tells when the tree of a task is revoked, by its delegation token. Returns what ends following. */
  followTree(token: string, onRevoked: (error: MeshError) => void): () => void
  /** What the skills of one task reach the world with, and what they run within. */
  outward(origin: TaskOrigin, live: LiveTask): ReturnType<RunOptions['outward']>
}

/** How a task came in: what its own delegations hand on. */
export interface TaskOrigin {
  readonly traceparent: string | null
  readonly delegationToken: string | null
}

export interface TaskHost {
  /** Goes on with what an earlier process left, or ends it. Before anything else. @throws MeshError MESH_TASK_STORE_FAILED */
  recover(): void
  /** @throws MeshError MESH_TASK_CONFLICT, MESH_TASK_SKILL_UNKNOWN, MESH_TASK_STORE_FULL, MESH_TASK_EXPIRED, MESH_PEER_DRAINING … */
  delegate(caller: AgentIdentity, asked: AskedTask, origin: TaskOrigin): TaskReader
  /** @throws MeshError MESH_TASK_NOT_FOUND, MESH_TASK_CURSOR_INVALID */
  watch(caller: AgentIdentity, id: string, afterSeq: number): TaskReader
  /** @throws MeshError MESH_TASK_NOT_FOUND */
  get(caller: AgentIdentity, id: string): TaskInfo
  /** The delegation token that tells which tree a task is part of; null outside any. @throws MeshError MESH_TASK_NOT_FOUND */
  treeOf(caller: AgentIdentity, id: string): string | null
  list(caller: AgentIdentity, query: TaskQuery): TaskPage
  /** @throws MeshError MESH_TASK_NOT_FOUND */
  cancel(caller: AgentIdentity, id: string, reason: string): TaskInfo
  /** @throws MeshError MESH_TASK_NOT_FOUND, MESH_TASK_INPUT_UNEXPECTED, MESH_TASK_CONFLICT */
  sendInput(caller: AgentIdentity, id: string, sent: SentInput): TaskInfo
  /** Takes no new tasks, lets those that run end, and ends or lets go of what is left after `graceMs` milliseconds. */
  drain(graceMs: number): Promise<void>
}

export interface AskedTask {
  readonly request: TaskRequest
  readonly contentHash: string
  readonly inputBytes: number
}

export interface TaskPage {
  readonly tasks: readonly TaskInfo[]
  /** Of the last task, where there may be more. */
  readonly next: number | null
}

interface Running {
  readonly live: LiveTask
  readonly questions: Questions
  /** As the task came with it: signed, also when an earlier process had it. */
  readonly token: string | null
  /** It can be run again. */
  readonly resumable: boolean
}

// a skill that takes its process down each time is not run for ever
const MAX_RUNS = 5
const PAGE_BYTES = 1024 * 1024

export function createTaskHost(options: TaskHostOptions): TaskHost {
  const { store, log, orphanGraceMs, inputTimeoutMs, now } = options
  const skills = new Map(
    Object.entries(options.skills).map(([name, skill]) => [name, whole(skill)]),
  )
  const running = new Map<string, Running>()
  const shares = createRunningShares(options.running)
  const emptied = new Set<() => void>()
  let draining = false

  const find = (caller: AgentIdentity, id: string): TaskRecord => {
    const record = store.get(caller.id, id)
    if (record === null) throw new MeshError('MESH_TASK_NOT_FOUND')
    return record
  }
  const tenantOf = ({ caller }: TaskRecord) => options.identify(caller)?.tenant ?? ''
  const runningOf = ({ caller, id }: TaskRecord) => running.get(keyOf(caller, id))
  const read = (record: TaskRecord, afterSeq: number): TaskReader =>
    createTaskReader(store, record, runningOf(record)?.live ?? null, afterSeq)
  const show = (caller: AgentIdentity, id: string): TaskInfo => {
    store.flush()
    return infoOf(find(caller, id))
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
  const hold = (record: TaskRecord, resumable: boolean, token: string | null): Running => {
    const leave = shares.add({ id: record.caller, tenant: tenantOf(record) })
    const key = keyOf(record.caller, record.id)
    let unfollow = () => {}
    const onEnd = () => {
      running.delete(key)
      leave()
      held.questions.close()
      unfollow()
      if (running.size === 0) for (const listener of emptied) listener()
    }
    const live = createLiveTask({ store, record, orphanGraceMs, now, onEnd })
    const questions = createQuestions({
      ...{ live, timeoutMs: inputTimeoutMs, now },
      flush: () => store.flush(),
    })
    const held = { live, questions, token, resumable }
    running.set(key, held)
    // whatever becomes of the streams that follow it: what is begun in a tree ends with the tree
    if (token !== null)
      unfollow = options.followTree(token, (error) => live.fail(failureOf(error, 'canceled')))
    return held
  }
  const run = (
    { live, questions }: Running,
    skill: Skill,
    task: Task,
    origin: TaskOrigin,
    checkpoint: Checkpoint | null,
  ) => {
    const outward = () => options.outward(origin, live)
    // a turn later: the stream that asked is attached first
    setImmediate(
      () => void runTask({ skill, task, live, questions, checkpoint }, { store, log, outward }),
    )
  }
  const start = (caller: AgentIdentity, asked: AskedTask, origin: TaskOrigin): TaskRecord => {
    const { request, contentHash, inputBytes } = asked
    const skill = skills.get(request.skill)
    const deadlineMs = request.deadline?.getTime() ?? null
    if (draining) throw new MeshError('MESH_PEER_DRAINING', undefined, { retryAfterMs: 1_000 })
    if (skill === undefined) throw unknownSkill(request.skill, skills)
    if (deadlineMs !== null && deadlineMs <= now()) throw new MeshError('MESH_TASK_EXPIRED')
    shares.check(caller)
    const { id, labels, detached, idempotencyKey } = request
    const encoded = () => messages.delegateRequest.serialize(encodeRequest(request))
    const record = store.create({
      ...{ caller: caller.id, id, idempotencyKey, contentHash, inputBytes },
      ...{ skill: request.skill, labels, detached, deadlineMs, createdMs: now() },
      tree: origin.delegationToken,
      beginning: skill.resume ? { request: encoded(), ...origin } : null,
    })
    const held = hold(record, skill.resume, origin.delegationToken)
    const { retentionMs } = store
    held.live.emit({ kind: 'accepted', skill: request.skill, retentionMs })
    run(held, skill.run, taskOf(request, caller, origin), origin, null)
    return record
  }
  const resume = ({ record, again }: LeftTask) => {
    const held = hold(record, true, again?.beginning.delegationToken ?? null)
    const { deadlineMs } = record
    const skill = skills.get(record.skill)
    const caller = options.identify(record.caller)
    const request = again === null ? null : requestOf(again.beginning.request)
    if (deadlineMs !== null && deadlineMs <= now())
      held.live.fail(failureOf(new MeshError('MESH_TASK_EXPIRED'), 'expired'))
    else if (skill?.resume !== true || again === null || caller === null || request === null)
      held.live.fail(failureOf(new MeshError('MESH_TASK_INTERRUPTED'), 'orphaned'))
    else if (again.checkpoint.runs > MAX_RUNS) {
      const message = `the agent died ${MAX_RUNS} times while it ran the task`
      held.live.fail(failureOf(new MeshError('MESH_TASK_INTERRUPTED', message), 'orphaned'))
    } else {
      const { beginning, checkpoint } = again
      run(held, skill.run, taskOf(request, caller, beginning), beginning, checkpoint)
    }
  }

  const recover = () => {
    const left = store.takeLeft()
    for (const task of left) resume(task)
    store.flush()
    if (left.length > 0)
      log.info({ left: left.length, resumed: running.size }, 'tasks were left unfinished')
  }
  const letGo = () => {
    for (const { live } of [...running.values()]) live.interrupt()
  }
  const stopMending = mendStore({ store, log, letGo, recover, onServing: options.onServing })

  return {
    recover,
    delegate: (caller, asked, origin) =>
      read(existing(caller, asked) ?? start(caller, asked, origin), 0),
    watch(caller, id, afterSeq) {
      const record = find(caller, id)
      if (!Number.isSafeInteger(afterSeq) || afterSeq < 0 || afterSeq > record.lastSeq)
        throw new MeshError('MESH_TASK_CURSOR_INVALID')
      return read(record, afterSeq)
    },
    get: show,
    treeOf(caller, id) {
      const record = find(caller, id)
      return runningOf(record)?.token ?? record.tree ?? null
    },
    list(caller, query) {
      store.flush()
      const found = store.list(caller.id, query)
      let bytes = 0
      const tasks = found.filter((record, index) => {
        bytes += sizeOf(record)
        return index === 0 || bytes <= PAGE_BYTES
      })
      const more = tasks.length < found.length || found.length === query.limit
      return { tasks: tasks.map(infoOf), next: more ? (tasks.at(-1)?.number ?? null) : null }
    },
    cancel(caller, id, reason) {
      const message = reason || 'the caller cancelled it'
      const held = runningOf(find(caller, id))
      held?.live.fail(failureOf(new MeshError('MESH_TASK_CANCELED', message), 'canceled'))
      return show(caller, id)
    },
    sendInput(caller, id, { inputId, answer, hash }) {
      const record = find(caller, id)
      const held = runningOf(record)
      if (held !== undefined) held.questions.answer(inputId, answer, hash)
      else if (checkAnswer(record, inputId, hash) !== null)
        throw new MeshError('MESH_PEER_DRAINING', undefined, { retryAfterMs: 500 })
      return show(caller, id)
    },
    async drain(graceMs) {
      draining = true
      stopMending()
      const keeps = ({ resumable }: Running) => resumable && options.storeStays
      for (const held of [...running.values()])
        if (keeps(held) && held.live.record().state === 'input-required') held.live.interrupt()
      if (running.size === 0) return
      const { promise, resolve } = Promise.withResolvers<void>()
      emptied.add(resolve)
      const shutDown = new MeshError('MESH_TASK_CANCELED', 'the agent is shutting down')
      const timer = setTimeout(() => {
        for (const held of [...running.values()])
          if (keeps(held)) held.live.interrupt()
          else held.live.fail(failureOf(shutDown, 'canceled'))
      }, graceMs)
      await promise
      clearTimeout(timer)
    },
  }
}

function whole(skill: Skill | SkillWithOptions): Required<SkillWithOptions> {
  return typeof skill === 'function' ? { run: skill, resume: false } : { resume: false, ...skill }
}

// a NUL can be in neither a SPIFFE ID nor a UUID
function keyOf(caller: string, id: string): string {
  return `${caller}\0${id}`
}

/** Names one skill at most, and only to a caller that nearly knew it. */
function unknownSkill(asked: string, skills: ReadonlyMap<string, unknown>): MeshError {
  const meant = nearest(asked, skills.keys(), Math.min(2, Math.floor(asked.length / 4)))
  return new MeshError(
    'MESH_TASK_SKILL_UNKNOWN',
    meant === null ? undefined : `the agent has no such skill; ${meant} is one`,
  )
}
