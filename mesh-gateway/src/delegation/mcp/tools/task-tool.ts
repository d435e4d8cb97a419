/** mesh_task: comes back to a task by its id. The peers remember the tasks, so it works after a restart of the gateway. */
import type { Delegation, TaskInfo, TaskState } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import {
  ArgumentFault,
  markUntrusted,
  plainLineOf,
  readFields,
  TASK_FIELDS,
  type TaskArguments,
  type ToolResult,
} from '@clawmesh/proto/tools'
import { askPeers } from './ask-peers.ts'
import { contentOf } from './content.ts'
import { listTasks } from './list-tasks.ts'
import type { RunTool, ToolCall } from './tool-call.ts'
import { waitForTask } from './wait-for-task.ts'

/** A task where it was found. */
interface Found {
  readonly peer: string
  readonly info: TaskInfo
}

const GOES_ON: readonly TaskState[] = ['submitted', 'working', 'input-required', 'auth-required']

export const taskTool: RunTool = async (given, call) => {
  const asked = readFields(TASK_FIELDS, given)
  if (asked.action === 'list') return listTasks(asked.peer, call)
  const found = await find(asked, call)
  switch (asked.action) {
    case 'wait':
      return waitForTask(watch(found, call), waitingFor(found, asked), call)
    case 'status':
      return statusOf(found)
    case 'answer':
      return answer(found, asked, call)
    case 'cancel':
      return cancel(found, asked, call)
  }
}

/** @throws ArgumentFault, MeshError MESH_TASK_NOT_FOUND */
async function find(
  { action, id, peer }: Pick<TaskArguments, 'action' | 'id' | 'peer'>,
  call: ToolCall,
): Promise<Found> {
  if (id === undefined) throw new ArgumentFault(`the argument id is missing: ${action} needs it`)
  if (peer !== undefined) return { peer, info: await infoAt(peer, id, call) }
  const answers = await askPeers(call, (name) => infoAt(name, id, call))
  for (const { peer: name, answer: info } of answers) if (info !== null) return { peer: name, info }
  throw new MeshError('MESH_TASK_NOT_FOUND', 'no peer that can be asked knows this task')
}

/** @throws ArgumentFault for what cannot be a peer or an id: a model chose both */
async function infoAt(peer: string, id: string, { caller }: ToolCall): Promise<TaskInfo> {
  try {
    return await caller.get(peer, id)
  } catch (error) {
    if (error instanceof TypeError) throw new ArgumentFault(error.message)
    throw error
  }
}

function watch({ peer, info }: Found, { caller }: ToolCall): Delegation {
  return caller.watch(peer, info.id)
}

function waitingFor({ info }: Found, { wait_seconds: waitSeconds }: TaskArguments) {
  return { skill: plainLineOf(info.skill), waitSeconds, cancels: false }
}

async function answer(found: Found, asked: TaskArguments, call: ToolCall) {
  if (asked.answer === undefined) throw new ArgumentFault('the argument answer is missing')
  const open = found.info.pendingInputs
  if (asked.input_id === undefined && open.length > 1)
    throw new ArgumentFault('several questions are open: name one by input_id')
  const answered = asked.input_id ?? open[0] ?? ''
  const delegation = watch(found, call)
  await delegation.sendInput(contentOf(asked.answer), answered)
  return waitForTask(delegation, { ...waitingFor(found, asked), answered }, call)
}

async function cancel(found: Found, { reason }: TaskArguments, call: ToolCall) {
  const { info, peer } = found
  if (!GOES_ON.includes(info.state)) return said(found, info.state, 'It had ended already')
  const after = await watch({ peer, info }, call).cancel(reason ?? 'the caller cancelled it')
  return said(found, after.state, 'It was told to stop')
}

function said({ peer, info }: Found, state: TaskState, what: string): ToolResult {
  return {
    text: `${what}: id ${info.id}, peer ${peer}, state ${state}.`,
    isError: false,
    details: { id: info.id, peer, skill: plainLineOf(info.skill), state },
  }
}

function statusOf({ peer, info }: Found): ToolResult {
  const { id, skill, state, failure, pendingInputs } = info
  const lines = [`The task is ${state}: id ${id}, peer ${peer}.`]
  if (pendingInputs.length > 0)
    lines.push(
      'The peer asks something: mesh_task with the action wait shows it, answer answers it.',
    )
  if (failure !== null) lines.push('', markUntrusted(`the peer ${peer}`, failure.message))
  return {
    text: lines.join('\n'),
    isError: false,
    details: {
      ...{ id, peer, skill: plainLineOf(skill), state },
      created: info.created.toISOString(),
      updated: info.updated.toISOString(),
      ...(failure === null ? {} : { failure_code: plainLineOf(failure.code, 100) }),
      ...(pendingInputs.length === 0
        ? {}
        : { input_ids: pendingInputs.map((each) => plainLineOf(each)) }),
    },
  }
}
