/** Runs the skill of one task, for the first time or again, and turns how it ends into how the task ends. */
import { MeshError, parseTraceparent } from '@clawmesh/proto'
import type { Log } from '../log.ts'
import { toParts } from '../model/part.ts'
import type { Checkpoint, TaskStore } from '../model/task-store.ts'
import { NO_HISTORY, readHistory } from './history.ts'
import type { LiveTask } from './live-task.ts'
import type { Questions } from './questions.ts'
import type { Skill, Task } from './skill.ts'
import { createTaskContext, type EarlierRun, type Outward, withFields } from './skill-context.ts'
import { failureOf } from './task-info.ts'

export interface TaskRun {
  readonly skill: Skill
  readonly task: Task
  readonly live: LiveTask
  readonly questions: Questions
  /** Where an earlier run stood; null for the first one. */
  readonly checkpoint: Checkpoint | null
}

export interface RunOptions {
  readonly store: TaskStore
  readonly log: Log
  /** What the skill reaches the world with, and what it runs within. */
  outward(): Omit<Outward, 'log'>
}

/** The skill did not take the task: the fault is the caller's. */
const REJECTING: ReadonlySet<string> = new Set(['MESH_TASK_REJECTED', 'MESH_TASK_INPUT_INVALID'])

export async function runTask(run: TaskRun, options: RunOptions): Promise<void> {
  const { skill, task, live, questions, checkpoint } = run
  const fields = { delegation_id: task.id, skill: task.skill, caller: task.caller.id }
  let log = withFields(options.log, fields)
  try {
    const earlier = checkpoint === null ? null : await recall(run, checkpoint, options.store)
    const note = earlier === null ? '' : 'resumed'
    live.emit({ kind: 'status', state: 'working', note }, { state: 'working' })
    // that it was begun is on disk before it begins: after a crash nobody takes it for one that never ran
    await live.settled()
    const outward = options.outward()
    const trace = parseTraceparent(outward.traceparent)
    log = withFields(log, {
      ...(trace === null ? {} : { trace_id: trace.traceId }),
      ...(task.chain === null ? {} : { root_id: task.chain.rootId }),
    })
    const context = createTaskContext(live, questions, earlier, { ...outward, log })
    live.complete(toParts(await outward.enter(() => skill(task, context))))
  } catch (error) {
    if (live.ended()) {
      log.debug({ err: error }, 'the skill threw after the end of its task')
      return
    }
    if (!(error instanceof MeshError)) log.error({ err: error }, 'the skill failed')
    else if (error.code === 'MESH_TASK_STORE_FULL')
      log.warn({ code: error.code }, `the task failed: ${error.message}`)
    const shown = error instanceof MeshError ? error : new MeshError('MESH_TASK_FAILED')
    live.fail(failureOf(shown, REJECTING.has(shown.code) ? 'rejected' : 'failed'))
  }
}

async function recall(
  { live, questions }: TaskRun,
  { saved, asked }: Checkpoint,
  store: TaskStore,
): Promise<EarlierRun> {
  const record = live.record()
  const history = record.lastSeq === 0 ? NO_HISTORY : await readHistory(store, record)
  questions.recall(asked, history.answers)
  return { history, saved }
}
