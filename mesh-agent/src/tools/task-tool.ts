/** mesh_task: comes back to a task by its id, also after a restart of either side. */
import { MeshError, type TaskInfo, type TaskState } from '@clawmesh/agent-sdk'
import {
  ArgumentFault,
  asArguments,
  markUntrusted,
  plainLineOf,
  readFields,
  TASK_FIELDS,
  type TaskArguments,
  type ToolResult,
} from '@clawmesh/proto/tools'
import type { FollowedTask } from './followed-task.ts'
import type { FollowedTasks } from './followed-tasks.ts'
import { listTasks } from './list-tasks.ts'
import type { Register, RegisteredTask } from './register.ts'
import { type ToolContext, traceOf } from './tool.ts'
import { waitForTask } from './wait-for-task.ts'

export interface TaskToolOptions {
  readonly followed: FollowedTasks
  readonly register: Register
  readonly now: () => number
}

/** How long `status` waits to learn a question, and `cancel` for the end, in milliseconds. */
const SOON_MS = 3_000

export async function runTaskAction(
  options: TaskToolOptions,
  args: unknown,
  context: ToolContext,
): Promise<ToolResult> {
  const asked = readFields(TASK_FIELDS, args)
  if (asked.action === 'list') return listTasks(options, asked, context)
  if (asked.id === undefined)
    throw new ArgumentFault(`the argument id is missing: ${asked.action} needs it`)
  const place = await find(options.register, asked.id, asked.peer, context.owner ?? '')
  switch (asked.action) {
    case 'wait':
      return wait(options, place, asked, context)
    case 'status':
      return status(options, place, context)
    case 'answer':
      return answer(options, place, asked, context)
    case 'cancel':
      return cancel(options, place, asked, context)
  }
}

interface Place {
  readonly id: string
  readonly peer: string
  readonly known: RegisteredTask | null
}

/** @throws MeshError MESH_TASK_NOT_FOUND, ArgumentFault when only the peer can say more */
async function find(
  register: Register,
  id: string,
  peer: string | undefined,
  owner: string,
): Promise<Place> {
  const known = await register.find(id)
  const mine = known?.owner === owner ? known : null
  // without a register an owner cannot be told from another
  if (mine === null && (known !== null || owner !== ''))
    throw new MeshError('MESH_TASK_NOT_FOUND', 'no such task was given to a peer here')
  const at = mine?.peer ?? peer
  if (at === undefined)
    throw new ArgumentFault(
      'no task of this id was given from here: name its peer, or list the tasks',
    )
  return { id, peer: at, known: mine }
}

function followedAt(
  { followed }: TaskToolOptions,
  { id, peer, known }: Place,
  context: ToolContext,
): FollowedTask {
  return (
    followed.find(id, context.owner ?? '') ??
    asArguments(() =>
      followed.begin(context, {
        skill: known?.skill ?? '',
        isNew: false,
        open: (agent) => agent.watch(peer, id, 0, traceOf(context)),
      }),
    )
  )
}

async function wait(
  options: TaskToolOptions,
  place: Place,
  { wait_seconds }: TaskArguments,
  context: ToolContext,
): Promise<ToolResult> {
  const { outcome = null } = place.known ?? {}
  if (outcome !== null) return outcome
  const task = followedAt(options, place, context)
  const result = await waitForTask(task, { context, waitSeconds: wait_seconds })
  return result ?? waitingGivenUp()
}

function waitingGivenUp(): never {
  throw new MeshError('MESH_CALL_CANCELED', 'the waiting was cancelled; the task goes on')
}

async function status(
  options: TaskToolOptions,
  place: Place,
  context: ToolContext,
): Promise<ToolResult> {
  const { id, peer, known } = place
  const info = await infoOf(context, place)
  const open = info.pendingInputs.length
  const task = open === 0 ? null : followedAt(options, place, context)
  const asks = () => info.pendingInputs.includes(task?.question?.inputId ?? '')
  await task?.wait(asks, Math.min(SOON_MS, context.maxWaitMs), context.signal)
  const { state, failure } = info
  const minutes = Math.max(0, Math.round((options.now() - info.updated.getTime()) / 60_000))
  const ago = minutes === 0 ? 'less than a minute ago' : `${minutes} min ago`
  const lines = [`The task is ${state}: id ${id}, peer ${peer}. It last changed ${ago}.`]
  if (open > 0) lines.push('The peer asks something: mesh_task with the action answer answers it.')
  const said = [failure?.message ?? '', task?.question?.text ?? ''].filter((text) => text !== '')
  if (said.length > 0) lines.push('', markUntrusted(`the peer ${peer}`, said.join('\n')))
  return {
    text: lines.join('\n'),
    isError: false,
    details: {
      ...{ id, peer, skill: known?.skill ?? plainLineOf(info.skill), state },
      created: info.created.toISOString(),
      updated: info.updated.toISOString(),
      ...(failure === null ? {} : { failure_code: plainLineOf(failure.code, 100) }),
      ...(open === 0 ? {} : { input_ids: info.pendingInputs.map((each) => plainLineOf(each)) }),
    },
  }
}

async function answer(
  options: TaskToolOptions,
  place: Place,
  asked: TaskArguments,
  context: ToolContext,
): Promise<ToolResult> {
  if (asked.answer === undefined) throw new ArgumentFault('the argument answer is missing')
  const content =
    typeof asked.answer === 'string' ? asked.answer : { kind: 'json' as const, json: asked.answer }
  const open = (await infoOf(context, place)).pendingInputs
  if (asked.input_id === undefined && open.length > 1)
    throw new ArgumentFault('several questions are open: name one by input_id')
  const task = followedAt(options, place, context)
  await task.delegation.sendInput(content, asked.input_id ?? open[0])
  const result = await waitForTask(task, { context, waitSeconds: asked.wait_seconds })
  return result ?? waitingGivenUp()
}

async function cancel(
  options: TaskToolOptions,
  place: Place,
  { reason }: TaskArguments,
  context: ToolContext,
): Promise<ToolResult> {
  const { state } = await infoOf(context, place)
  if (!GOES_ON.includes(state)) return saidState(place, state, 'It had ended already')
  const task = followedAt(options, place, context)
  task.handedBack = true
  const after = await task.delegation.cancel(reason ?? 'the caller cancelled it')
  await task.wait(() => false, Math.min(SOON_MS, context.maxWaitMs), context.signal)
  return saidState(place, after.state, 'It was told to stop')
}

const GOES_ON: readonly TaskState[] = ['submitted', 'working', 'input-required', 'auth-required']

function saidState({ id, peer, known }: Place, state: TaskState, what: string): ToolResult {
  return {
    text: `${what}: id ${id}, peer ${peer}, state ${state}.`,
    isError: false,
    details: { id, peer, ...(known === null ? {} : { skill: known.skill }), state },
  }
}

async function infoOf(context: ToolContext, { peer, id }: Place): Promise<TaskInfo> {
  try {
    return await context.agent.get(peer, id, traceOf(context))
  } catch (error) {
    // a model chose both names
    if (error instanceof TypeError) throw new ArgumentFault(error.message)
    throw error
  }
}
