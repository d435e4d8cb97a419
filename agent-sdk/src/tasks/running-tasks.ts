/** The tasks that run in this process: starts them, finds them, ends them or lets go of them. */
import { type AgentIdentity, MeshError } from '@clawmesh/proto'
import type { Log } from '../log.ts'
import type { Checkpoint, TaskRecord, TaskStore } from '../model/task-store.ts'
import { createLiveTask, type LiveTask } from './live-task.ts'
import { createQuestions, type Questions } from './questions.ts'
import { type RunOptions, runTask } from './run-task.ts'
import {
  createRunningShares,
  type RunningShares,
  type RunningSharesOptions,
} from './running-shares.ts'
import type { Skill, Task } from './skill.ts'
import { failureOf } from './task-info.ts'

export interface RunningTasksOptions {
  readonly store: TaskStore
  /** The store outlives these tasks: what can be run again is let go of at the end rather than cancelled. */
  readonly storeStays: boolean
  readonly log: Log
  /** How long a task that is not detached goes on without an open stream to its caller, in milliseconds. */
  readonly orphanGraceMs: number
  /** How many tasks may run at once: in all, per tenant and per caller. */
  readonly running: RunningSharesOptions
  /** How long a task waits for the answer to a question, in milliseconds. */
  readonly inputTimeoutMs: number
  readonly now: () => number
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

export interface Running {
  readonly live: LiveTask
  readonly questions: Questions
  /** As the task came with it: signed, also when an earlier process had it. */
  readonly token: string | null
  /** It can be run again. */
  readonly resumable: boolean
}

export interface RunningTasks {
  /** How many tasks run. */
  size(): number
  of(record: TaskRecord): Running | undefined
  /** @throws MeshError when one more task of the caller would be more than its share */
  check(caller: AgentIdentity): void
  /** Counts the task as running, and follows its tree, until it ends. */
  hold(record: TaskRecord, resumable: boolean, token: string | null): Running
  /** Runs the skill one turn later: the stream that asked is attached first. */
  run(
    held: Running,
    skill: Skill,
    task: Task,
    origin: TaskOrigin,
    checkpoint: Checkpoint | null,
  ): void
  /** Interrupts all of them. */
  letGo(): void
  /** Lets them end, and ends or lets go of what is left after `graceMs` milliseconds. */
  drain(graceMs: number): Promise<void>
}

export function createRunningTasks(options: RunningTasksOptions): RunningTasks {
  return new TasksOfProcess(options)
}

class TasksOfProcess implements RunningTasks {
  readonly #options: RunningTasksOptions
  readonly #running = new Map<string, Running>()
  readonly #shares: RunningShares
  readonly #emptied = new Set<() => void>()

  constructor(options: RunningTasksOptions) {
    this.#options = options
    this.#shares = createRunningShares(options.running)
  }

  size(): number {
    return this.#running.size
  }

  of({ caller, id }: TaskRecord): Running | undefined {
    return this.#running.get(keyOf(caller, id))
  }

  check(caller: AgentIdentity): void {
    this.#shares.check(caller)
  }

  hold(record: TaskRecord, resumable: boolean, token: string | null): Running {
    const { store, orphanGraceMs, inputTimeoutMs, now } = this.#options
    const tenant = this.#options.identify(record.caller)?.tenant ?? ''
    const leave = this.#shares.add({ id: record.caller, tenant })
    const key = keyOf(record.caller, record.id)
    let unfollow = () => {}
    const onEnd = () => {
      this.#running.delete(key)
      leave()
      held.questions.close()
      unfollow()
      if (this.#running.size === 0) for (const listener of this.#emptied) listener()
    }
    const live = createLiveTask({ store, record, orphanGraceMs, now, onEnd })
    const questions = createQuestions({
      ...{ live, timeoutMs: inputTimeoutMs, now },
      flush: () => store.flush(),
    })
    const held = { live, questions, token, resumable }
    this.#running.set(key, held)
    // whatever becomes of the streams that follow it: what is begun in a tree ends with the tree
    if (token !== null)
      unfollow = this.#options.followTree(token, (error) => live.fail(failureOf(error, 'canceled')))
    return held
  }

  run(
    { live, questions }: Running,
    skill: Skill,
    task: Task,
    origin: TaskOrigin,
    checkpoint: Checkpoint | null,
  ): void {
    const { store, log } = this.#options
    const outward = () => this.#options.outward(origin, live)
    setImmediate(
      () => void runTask({ skill, task, live, questions, checkpoint }, { store, log, outward }),
    )
  }

  letGo(): void {
    for (const { live } of [...this.#running.values()]) live.interrupt()
  }

  async drain(graceMs: number): Promise<void> {
    for (const held of [...this.#running.values()])
      if (this.#keeps(held) && held.live.record().state === 'input-required') held.live.interrupt()
    if (this.#running.size === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#emptied.add(resolve)
    const timer = setTimeout(() => this.#endAll(), graceMs)
    await promise
    clearTimeout(timer)
  }

  #endAll(): void {
    const shutDown = new MeshError('MESH_TASK_CANCELED', 'the agent is shutting down')
    for (const held of [...this.#running.values()])
      if (this.#keeps(held)) held.live.interrupt()
      else held.live.fail(failureOf(shutDown, 'canceled'))
  }

  /** It is run again by the next process. */
  #keeps({ resumable }: Running): boolean {
    return resumable && this.#options.storeStays
  }
}

// a NUL can be in neither a SPIFFE ID nor a UUID
function keyOf(caller: string, id: string): string {
  return `${caller}\0${id}`
}
