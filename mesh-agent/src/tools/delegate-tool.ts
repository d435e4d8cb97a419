/** mesh_delegate: gives a task to a peer, and waits for its result as long as the call may. */
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Content } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import {
  asArguments,
  DELEGATE_FIELDS,
  errorResult,
  readFields,
  type ToolResult,
} from '@clawmesh/proto/tools'
import type { FollowedTask } from './followed-task.ts'
import type { FollowedTasks } from './followed-tasks.ts'
import { type ToolContext, traceOf } from './tool.ts'
import { waitForTask } from './wait-for-task.ts'

/** How long a call that was cancelled waits for its peer to hear of it. */
const CANCEL_MS = 2_000
/** How long a disk may take to keep an id. */
const WRITE_MS = 1_000

export async function delegateTask(
  followed: FollowedTasks,
  args: unknown,
  context: ToolContext,
): Promise<ToolResult> {
  const { peer, skill, input, wait_seconds, key } = readFields(DELEGATE_FIELDS, args)
  const { signal, owner = '' } = context
  if (signal?.aborted === true) throw new MeshError('MESH_CALL_CANCELED')
  const content = toContent(input)
  const task = asArguments(() =>
    followed.begin(context, {
      skill,
      isNew: true,
      // detached from the start: a task that has to outlive its call must not end with the process, and one that is
      // cancelled is cancelled by name
      open: (agent) =>
        agent.delegate(peer, {
          skill,
          detached: true,
          ...(content === undefined ? {} : { input: content }),
          ...(key === undefined ? {} : { idempotencyKey: keyOf(owner, key) }),
          ...traceOf(context),
        }),
    }),
  )
  const result = await waitForTask(task, {
    ...{ context, waitSeconds: wait_seconds, forAcceptance: true },
  })
  if (result === null) return cancelled(task)
  // an id that was handed back is found again, whatever happens to this process
  if (task.handedBack)
    await Promise.race([followed.settled(), sleep(WRITE_MS, undefined, { ref: false })])
  return result
}

/** The caller has gone before it had a result or an id. */
async function cancelled(task: FollowedTask): Promise<ToolResult> {
  const told = task.delegation.cancel('the caller of the tool cancelled it').then(
    () => true,
    // it has ended meanwhile, or its peer is away
    () => false,
  )
  await Promise.race([told, task.wait(() => false, CANCEL_MS)])
  const { id, peer, skill } = task
  return errorResult(new MeshError('MESH_CALL_CANCELED'), `the peer ${peer}`, { id, peer, skill })
}

/** Keys of one owner never lead to a task of another. */
function keyOf(owner: string, key: string): string {
  if (owner === '') return key
  return `${createHash('sha256').update(owner).digest('hex').slice(0, 32)}:${key}`
}

/** JSON that happens to look like a part of the mesh stays JSON: a model writes no parts. */
function toContent(input: unknown): Content | undefined {
  if (input === undefined || typeof input === 'string') return input
  return { kind: 'json', json: input }
}
