/**
 * The tasks that the tools of one host follow. A task is followed once, however many calls wait for it, until it has ended: a
 * task that outlives its call brings its result into the register by itself.
 */
import type { Agent, Delegation, Log, TaskResult } from '@clawmesh/agent-sdk'
import type { MeshError } from '@clawmesh/proto'
import type { ToolResult } from '@clawmesh/proto/tools'
import { FollowedTask } from './followed-task.ts'
import type { Register } from './register.ts'
import { renderResult } from './render-result.ts'
import type { ToolContext } from './tool.ts'

export interface FollowedTasksOptions {
  readonly register: Register
  readonly log: Log
  readonly maxTextLength: number
  readonly maxFileBytes: number
  readonly now: () => number
}

/** What a task is followed for. */
export interface Begin {
  readonly skill: string
  /** Starts it, or looks at it. @throws TypeError for arguments that make no sense */
  open(agent: Agent): Delegation
  /** It is new: the register does not have it yet. */
  readonly isNew: boolean
}

export class FollowedTasks {
  readonly #options: FollowedTasksOptions
  readonly #open = new Set<FollowedTask>()
  readonly #written = new Set<Promise<void>>()

  constructor(options: FollowedTasksOptions) {
    this.#options = options
  }

  /** Null when it is not followed here. */
  find(id: string, owner: string): FollowedTask | null {
    for (const task of this.#open) if (task.id === id && task.owner === owner) return task
    return null
  }

  /** @throws what `open` throws */
  begin(context: ToolContext, { skill, open, isNew }: Begin): FollowedTask {
    const { agent, owner = '', workspaceDir } = context
    const delegation = open(agent)
    const task = new FollowedTask({
      ...{ delegation, skill, owner, isNew },
      render: (result, followed) => this.#render(result, followed, workspaceDir),
      onError: (error) => this.#logError(error, delegation),
    })
    task.handedBack = !isNew
    this.#open.add(task)
    const first = delegation.id
    const startedMs = this.#options.now()
    const { id, peer } = task
    const entry = { id, peer, skill, owner, startedMs, outcome: null }
    const kept = isNew ? this.#options.register.put(entry) : Promise.resolve()
    this.#later(kept)
    void task.outcome.then(({ result, final }) => {
      this.#open.delete(task)
      if (!final) return
      // one after the other: they write the same file
      this.#later(kept.then(() => this.#settle({ task, first, startedMs, outcome: result })))
    })
    return task
  }

  /** Resolves when the register is on disk, as far as it is to be. */
  async settled(): Promise<void> {
    await Promise.all(this.#written)
  }

  async #settle({
    task,
    first,
    startedMs,
    outcome,
  }: {
    readonly task: FollowedTask
    /** Its id when it was made. */
    readonly first: string
    readonly startedMs: number
    readonly outcome: ToolResult
  }): Promise<void> {
    const { register } = this.#options
    // by its key it turned out to be an earlier one
    if (first !== task.id) await register.remove(first)
    // never accepted, and its caller has been told why
    if (!task.accepted && !task.handedBack) return register.remove(task.id)
    const { id, peer, owner } = task
    const before = await register.find(id)
    await register.put({
      ...{ id, peer, owner, outcome },
      skill: before?.skill ?? task.skill,
      startedMs: before?.startedMs ?? startedMs,
    })
  }

  #later(work: Promise<void>): void {
    this.#written.add(work)
    void work.finally(() => this.#written.delete(work))
  }

  #render(
    result: TaskResult,
    { peer, skill, usage }: FollowedTask,
    workspaceDir: string | undefined,
  ): Promise<ToolResult> {
    const { maxTextLength, maxFileBytes, log } = this.#options
    return renderResult(result, {
      ...{ peer, skill, usage, workspaceDir, maxTextLength, maxFileBytes },
      onFault: (err) => log.warn({ err, id: result.id }, `a file was not kept: ${err.message}`),
    })
  }

  #logError(error: MeshError, { id, peer }: Delegation): void {
    const { code, hint, message, cause } = error
    this.#options.log.warn(
      { code, hint, id, peer, ...(cause === undefined ? {} : { err: cause }) },
      `a delegation ended without a result: ${message}`,
    )
  }
}
