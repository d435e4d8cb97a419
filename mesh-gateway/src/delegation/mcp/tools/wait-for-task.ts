/** Waits for a task as long as a call may, and says where it stands when the call must answer first. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Delegation } from '@clawmesh/agent-sdk/mesh'
import { errorResult, standingResult, type ToolResult } from '@clawmesh/proto/tools'
import { renderResult } from './render-result.ts'
import { TaskView } from './task-view.ts'
import type { ToolCall } from './tool-call.ts'

export interface WaitOptions {
  readonly skill: string
  /** As the model asked for; undefined: the default. */
  readonly waitSeconds: number | undefined
  /** The question that the call has just answered; null: none. */
  readonly answered?: string | null
  /** A call that is cancelled cancels the task, too. */
  readonly cancels: boolean
}

/** MCP clients give a call up after 60 s. */
const DEFAULT_WAIT_MS = 45_000
/** Hosts of agents give up longer calls, whatever they allow (OpenClaw after 15 minutes). */
const MAX_WAIT_MS = 600_000
/** A wait of 0 still learns whether the peer took the task: a refusal is worth the moment. */
const ACCEPTANCE_MS = 5_000
/** How long a peer is told to stop, in milliseconds. */
const CANCEL_MS = 20_000

/** @returns null when the call was cancelled */
export async function waitForTask(
  delegation: Delegation,
  { skill, waitSeconds, answered = null, cancels }: WaitOptions,
  call: ToolCall,
): Promise<ToolResult | null> {
  const view = new TaskView(delegation, skill)
  const asked = waitSeconds === undefined ? DEFAULT_WAIT_MS : waitSeconds * 1_000
  const waitMs = Math.min(asked, MAX_WAIT_MS)
  const over = new AbortController()
  const accepted = new AbortController()
  const onProgress: ToolCall['onProgress'] = (progress) => call.onProgress(progress)
  const ended = view.follow(onProgress, answered, () => accepted.abort())
  const signal = AbortSignal.any([call.cancelled, call.released, over.signal])
  try {
    if (waitMs < ACCEPTANCE_MS)
      await Promise.race([ended, during(ACCEPTANCE_MS, AbortSignal.any([signal, accepted.signal]))])
    if (waitMs > 0) await Promise.race([ended, during(waitMs, signal)])
  } finally {
    over.abort()
  }
  if (view.result !== null) return renderResult(view.result, view)
  if (view.error !== null) {
    call.onError(view.error)
    const { id, peer, skill: name, usage } = view
    return errorResult(view.error, `the peer ${peer}`, { id, peer, skill: name, usage })
  }
  // the gateway keeps no register of tasks: the peer is needed to find one again
  if (!call.cancelled.aborted)
    return standingResult(view, Math.round(waitMs / 1_000), `, "peer": "${view.peer}"`)
  if (cancels) await cancelTask(delegation, call)
  return null
}

/** Tells the peer, for as long as the gateway is there to do so. */
async function cancelTask(
  delegation: Delegation,
  { cancelled, released }: ToolCall,
): Promise<void> {
  const told = delegation.cancel(String(cancelled.reason)).catch(() => {})
  await Promise.race([told, during(CANCEL_MS, released)])
}

async function during(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {})
}
