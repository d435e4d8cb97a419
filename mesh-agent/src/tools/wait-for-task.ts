/** Waits for a followed task as long as a call may, and says where it stands when the call must answer first. */
import { standingResult, type ToolResult } from '@clawmesh/proto/tools'
import type { FollowedTask } from './followed-task.ts'
import { type ToolContext, traceOf } from './tool.ts'

export interface WaitOptions {
  readonly context: ToolContext
  /** As the model asked for; undefined: as long as the host allows. */
  readonly waitSeconds: number | undefined
  /** A wait of 0 still learns whether the peer took the task: a refusal is worth the moment. */
  readonly forAcceptance?: boolean
}

/** How long a call that does not wait for the result waits for the peer to take the task, at most. */
const ACCEPTANCE_MS = 5_000

/** @returns null when the signal aborted first */
export async function waitForTask(
  task: FollowedTask,
  { context, waitSeconds, forAcceptance = false }: WaitOptions,
): Promise<ToolResult | null> {
  const { maxWaitMs, signal } = context
  const waitMs = Math.min(maxWaitMs, (waitSeconds ?? Number.POSITIVE_INFINITY) * 1000)
  const endMs = performance.now() + waitMs
  const stopTelling = tellProgress(task, context)
  try {
    if (forAcceptance && waitMs < ACCEPTANCE_MS)
      await task.wait(() => task.accepted, Math.min(maxWaitMs, ACCEPTANCE_MS), signal)
    await untilSomething(task, context, endMs)
  } finally {
    stopTelling?.()
  }
  if (task.ended !== null) return task.ended.result
  if (signal?.aborted === true) return null
  task.handedBack = true
  return standingResult(task, Math.round(waitMs / 1000))
}

/** A host that fails to take progress gets no more of it; the task goes on. @returns stops telling */
function tellProgress(
  task: FollowedTask,
  { onProgress, log }: ToolContext,
): (() => void) | undefined {
  if (onProgress === undefined) return undefined
  const stop = task.onProgress((progress) => {
    try {
      onProgress(progress)
    } catch (err) {
      stop()
      log.warn({ err, id: task.id }, 'the host did not take the progress of a task')
    }
  })
  return stop
}

/** Until it has ended, asks something, or the time is over. */
async function untilSomething(
  task: FollowedTask,
  context: ToolContext,
  endMs: number,
): Promise<void> {
  const { agent, signal } = context
  const answered = new Set<string>()
  const asks = () => task.question !== null && !answered.has(task.question.inputId)
  for (;;) {
    const happened = await task.wait(asks, Math.max(0, endMs - performance.now()), signal)
    const { question } = task
    if (!happened || task.ended !== null) return
    if (question === null) continue
    // a task that is looked at again tells its answered questions first
    const { pendingInputs } = await agent
      .get(task.peer, task.id, traceOf(context))
      .catch(() => ({ pendingInputs: [question.inputId] }))
    if (pendingInputs.includes(question.inputId)) return
    answered.add(question.inputId)
  }
}
