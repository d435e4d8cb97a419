/** mesh_task list: the tasks that were given to peers, newest first, and where each one stands. */
import type { TaskInfo } from '@clawmesh/agent-sdk'
import type { TaskArguments, ToolResult } from '@clawmesh/proto/tools'
import { inTurns, plainLineOf } from '@clawmesh/proto/tools'
import type { FollowedTasks } from './followed-tasks.ts'
import type { Register, RegisteredTask } from './register.ts'
import { type ToolContext, traceOf } from './tool.ts'

const MAX_LISTED = 30
/** How many peers are asked at once, and how long all of them are waited for. */
const AT_ONCE = 8
const ASK_MS = 5_000

interface Row {
  readonly id: string
  readonly peer: string
  readonly skill: string
  readonly state: string
  readonly started: string
}

export async function listTasks(
  { followed, register }: { readonly followed: FollowedTasks; readonly register: Register },
  { peer }: TaskArguments,
  context: ToolContext,
): Promise<ToolResult> {
  const { owner = '', maxWaitMs, signal } = context
  const all = await register.list(owner)
  const mine = peer === undefined ? all : all.filter((task) => isOf(task.peer, peer))
  const shown = mine.slice(0, MAX_LISTED)
  const deadline = AbortSignal.timeout(Math.min(ASK_MS, maxWaitMs))
  const until = signal === undefined ? deadline : AbortSignal.any([deadline, signal])
  const states = await inTurns(shown, AT_ONCE, async (task) => {
    const known = task.outcome?.details.state ?? followed.find(task.id, owner)?.state
    if (typeof known === 'string') return known
    if (task.outcome !== null) return 'refused'
    return (await stateAt(context, task, until)) ?? 'unknown'
  })
  const rows: Row[] = shown.map(({ id, peer: at, skill, startedMs }, index) => ({
    ...{ id, peer: at, skill, state: states[index] ?? 'unknown' },
    started: new Date(startedMs).toISOString(),
  }))
  // only the peer knows those that another machine began; it cannot tell owners apart
  const others = peer === undefined || owner !== '' ? [] : await heldBy(context, peer, rows, until)
  const tasks = [...rows, ...others]
  const lines = tasks.map(
    (row) => `${row.id} ${row.state} ${row.peer} ${row.skill} since ${row.started}`,
  )
  const more = mine.length - shown.length
  return {
    text: [
      tasks.length === 0 ? 'No tasks were given to peers.' : `${tasks.length} tasks, newest first:`,
      ...lines,
      ...(more > 0 ? [`and ${more} older ones`] : []),
    ].join('\n'),
    isError: false,
    details: { tasks },
  }
}

/** @param named as a model names a peer: a short name, tenant/agent, or a full name */
function isOf(full: string, named: string): boolean {
  const [agent = '', tenant] = named.includes('/') ? named.split('/').reverse() : [named]
  return (
    full === named || full.startsWith(tenant === undefined ? `${agent}.` : `${agent}.${tenant}.`)
  )
}

async function stateAt(
  context: ToolContext,
  { peer, id }: RegisteredTask,
  until: AbortSignal,
): Promise<string | null> {
  const { agent } = context
  const trace = traceOf(context)
  if (until.aborted) return null
  const asked = agent.get(peer, id, trace).then(
    ({ state }) => state,
    // away, or it has forgotten the task
    () => null,
  )
  return Promise.race([asked, aborted(until)])
}

async function heldBy(
  context: ToolContext,
  peer: string,
  known: readonly Row[],
  until: AbortSignal,
): Promise<Row[]> {
  const { agent } = context
  const trace = traceOf(context)
  const listed: TaskInfo[] = []
  const read = async () => {
    for await (const info of agent.list(peer, {}, trace))
      if (listed.push(info) >= MAX_LISTED) return
  }
  await Promise.race([read(), aborted(until)])
  return listed
    .filter(({ id }) => !known.some((row) => row.id === id))
    .map(({ id, skill, state, created }) => ({
      ...{ id, peer, state, started: created.toISOString() },
      skill: /^[\w./-]{1,128}$/.test(skill) ? plainLineOf(skill) : '-',
    }))
}

function aborted(signal: AbortSignal): Promise<null> {
  const { promise, resolve } = Promise.withResolvers<null>()
  if (signal.aborted) resolve(null)
  else signal.addEventListener('abort', () => resolve(null), { once: true })
  return promise
}
