/**
 * Runs the skills of an agent: starts tasks or attaches to them, ends them, lets streams read their events, and goes
 * on with what an earlier process left. Knows callers by their identity and nothing of gRPC.
 */
import { type AgentIdentity, MeshError } from '@clawmesh/proto'
import type { TaskInfo } from '../model/task-event.ts'
import type { LeftTask, TaskQuery, TaskRecord, TaskStore } from '../model/task-store.ts'
import type { SentInput } from '../wire/list-codec.ts'
import { messages } from '../wire/messages.ts'
import { encodeRequest, type TaskRequest } from '../wire/request-codec.ts'
import { mendStore } from './mend-store.ts'
import { checkAnswer } from './questions.ts'
import {
  createRunningTasks,
  type RunningTasks,
  type RunningTasksOptions,
  type TaskOrigin,
} from './running-tasks.ts'
import type { ServedSkills } from './served-skills.ts'
import { failureOf, infoOf, sizeOf } from './task-info.ts'
import { requestOf, taskOf } from './task-of-request.ts'
import { createTaskReader, type TaskReader } from './task-reader.ts'

export type { TaskOrigin } from './running-tasks.ts'

export interface TaskHostOptions extends RunningTasksOptions {
  readonly skills: ServedSkills
  /** Whether tasks are taken, when that changes: not while the store cannot be written. */
  onServing(serving: boolean): void
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
  /** The skills that the caller may call. @param names only these; empty: all */
  describe(caller: AgentIdentity, names: readonly string[]): ReturnType<ServedSkills['describe']>
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

// a skill that takes its process down each time is not run for ever
const MAX_RUNS = 5
const PAGE_BYTES = 1024 * 1024

export function createTaskHost(options: TaskHostOptions): TaskHost {
  return new HostOfSkills(options)
}

class HostOfSkills implements TaskHost {
  readonly #options: TaskHostOptions
  readonly #store: TaskStore
  readonly #skills: ServedSkills
  readonly #running: RunningTasks
  readonly #stopMending: () => void
  #draining = false

  constructor(options: TaskHostOptions) {
    const { skills, store, log, onServing } = options
    this.#options = options
    this.#store = store
    this.#skills = skills
    this.#running = createRunningTasks(options)
    this.#stopMending = mendStore({
      ...{ store, log, onServing },
      letGo: () => this.#running.letGo(),
      recover: () => this.recover(),
    })
  }

  recover(): void {
    const left = this.#store.takeLeft()
    for (const task of left) this.#resume(task)
    this.#store.flush()
    if (left.length === 0) return
    const found = { left: left.length, resumed: this.#running.size() }
    this.#options.log.info(found, 'tasks were left unfinished')
  }

  delegate(caller: AgentIdentity, asked: AskedTask, origin: TaskOrigin): TaskReader {
    return this.#read(this.#existing(caller, asked) ?? this.#start(caller, asked, origin), 0)
  }

  watch(caller: AgentIdentity, id: string, afterSeq: number): TaskReader {
    const record = this.#find(caller, id)
    if (!Number.isSafeInteger(afterSeq) || afterSeq < 0 || afterSeq > record.lastSeq)
      throw new MeshError('MESH_TASK_CURSOR_INVALID')
    return this.#read(record, afterSeq)
  }

  get(caller: AgentIdentity, id: string): TaskInfo {
    this.#store.flush()
    return infoOf(this.#find(caller, id))
  }

  treeOf(caller: AgentIdentity, id: string): string | null {
    const record = this.#find(caller, id)
    return this.#running.of(record)?.token ?? record.tree ?? null
  }

  list(caller: AgentIdentity, query: TaskQuery): TaskPage {
    this.#store.flush()
    const found = this.#store.list(caller.id, query)
    let bytes = 0
    const tasks = found.filter((record, index) => {
      bytes += sizeOf(record)
      return index === 0 || bytes <= PAGE_BYTES
    })
    const more = tasks.length < found.length || found.length === query.limit
    return { tasks: tasks.map(infoOf), next: more ? (tasks.at(-1)?.number ?? null) : null }
  }

  describe(caller: AgentIdentity, names: readonly string[]): ReturnType<ServedSkills['describe']> {
    return this.#skills.describe(caller, names)
  }

  cancel(caller: AgentIdentity, id: string, reason: string): TaskInfo {
    const message = reason || 'the caller cancelled it'
    const held = this.#running.of(this.#find(caller, id))
    held?.live.fail(failureOf(new MeshError('MESH_TASK_CANCELED', message), 'canceled'))
    return this.get(caller, id)
  }

  sendInput(caller: AgentIdentity, id: string, { inputId, answer, hash }: SentInput): TaskInfo {
    const record = this.#find(caller, id)
    const held = this.#running.of(record)
    if (held !== undefined) held.questions.answer(inputId, answer, hash)
    else if (checkAnswer(record, inputId, hash) !== null)
      throw new MeshError('MESH_PEER_DRAINING', undefined, { retryAfterMs: 500 })
    return this.get(caller, id)
  }

  async drain(graceMs: number): Promise<void> {
    this.#draining = true
    this.#stopMending()
    await this.#running.drain(graceMs)
  }

  #find(caller: AgentIdentity, id: string): TaskRecord {
    const record = this.#store.get(caller.id, id)
    if (record === null) throw new MeshError('MESH_TASK_NOT_FOUND')
    return record
  }

  #read(record: TaskRecord, afterSeq: number): TaskReader {
    const live = this.#running.of(record)?.live ?? null
    return createTaskReader(this.#store, record, live, afterSeq)
  }

  /** Null where neither the id nor the idempotency key is known. @throws MeshError MESH_TASK_CONFLICT */
  #existing(caller: AgentIdentity, { request, contentHash }: AskedTask): TaskRecord | null {
    const { id, idempotencyKey } = request
    const store = this.#store
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

  #start(caller: AgentIdentity, asked: AskedTask, origin: TaskOrigin): TaskRecord {
    const { request, contentHash, inputBytes } = asked
    const { now } = this.#options
    const skill = this.#skills.find(request.skill, caller)
    const deadlineMs = request.deadline?.getTime() ?? null
    if (this.#draining)
      throw new MeshError('MESH_PEER_DRAINING', undefined, { retryAfterMs: 1_000 })
    if (skill === null) throw this.#skills.unknown(request.skill, caller)
    if (deadlineMs !== null && deadlineMs <= now()) throw new MeshError('MESH_TASK_EXPIRED')
    this.#running.check(caller)
    const { id, labels, detached, idempotencyKey } = request
    const encoded = () => messages.delegateRequest.serialize(encodeRequest(request))
    const record = this.#store.create({
      ...{ caller: caller.id, id, idempotencyKey, contentHash, inputBytes },
      ...{ skill: request.skill, labels, detached, deadlineMs, createdMs: now() },
      tree: origin.delegationToken,
      beginning: skill.resume ? { request: encoded(), ...origin } : null,
    })
    const held = this.#running.hold(record, skill.resume, origin.delegationToken)
    const { retentionMs } = this.#store
    held.live.emit({ kind: 'accepted', skill: request.skill, retentionMs })
    this.#running.run(held, skill.run, taskOf(request, caller, origin), origin, null)
    return record
  }

  #resume({ record, again }: LeftTask): void {
    const held = this.#running.hold(record, true, again?.beginning.delegationToken ?? null)
    const { deadlineMs } = record
    const skill = this.#skills.resume(record.skill)
    const caller = this.#options.identify(record.caller)
    const request = again === null ? null : requestOf(again.beginning.request)
    if (deadlineMs !== null && deadlineMs <= this.#options.now())
      held.live.fail(failureOf(new MeshError('MESH_TASK_EXPIRED'), 'expired'))
    else if (skill?.resume !== true || again === null || caller === null || request === null)
      held.live.fail(failureOf(new MeshError('MESH_TASK_INTERRUPTED'), 'orphaned'))
    else if (again.checkpoint.runs > MAX_RUNS) {
      const message = `the agent died ${MAX_RUNS} times while it ran the task`
      held.live.fail(failureOf(new MeshError('MESH_TASK_INTERRUPTED', message), 'orphaned'))
    } else {
      const { beginning, checkpoint } = again
      const task = taskOf(request, caller, beginning)
      this.#running.run(held, skill.run, task, beginning, checkpoint)
    }
  }
}
