/** mesh_task list: the tasks that the agent has given to peers, as the peers remember them, newest first. */
import type { TaskInfo } from '@clawmesh/agent-sdk/mesh'
import { asArguments, plainLineOf, type ToolResult } from '@clawmesh/proto/tools'
import { askPeers } from './ask-peers.ts'
import type { ToolCall } from './tool-call.ts'

const MAX_LISTED = 30

/** @param peer undefined: all that policy names */
export async function listTasks(peer: string | undefined, call: ToolCall): Promise<ToolResult> {
  const answers =
    peer === undefined
      ? await askPeers(call, (name) => newest(name, call))
      : [{ peer, answer: await newest(peer, call) }]
  const tasks = answers
    .flatMap(({ peer: at, answer }) => (answer ?? []).map((info) => rowOf(at, info)))
    .toSorted((a, b) => b.started.localeCompare(a.started))
    .slice(0, MAX_LISTED)
  const away = answers.flatMap(({ peer: name, answer }) => (answer === null ? [name] : []))
  const lines = tasks.map(
    (row) => `${row.id} ${row.state} ${row.peer} ${row.skill} since ${row.started}`,
  )
  const head =
    tasks.length === 0 ? 'No tasks were given to peers.' : `${tasks.length} tasks, newest first:`
  const missing = away.length === 0 ? [] : [`These peers did not answer: ${away.join(', ')}.`]
  return {
    text: [head, ...lines, ...missing].join('\n'),
    isError: false,
    details: { tasks, ...(away.length === 0 ? {} : { away }) },
  }
}

async function newest(peer: string, { caller }: ToolCall): Promise<readonly TaskInfo[]> {
  const tasks: TaskInfo[] = []
  const listing = asArguments(() => caller.list(peer))
  for await (const info of listing) if (tasks.push(info) >= MAX_LISTED) break
  return tasks
}

function rowOf(peer: string, { id, skill, state, created }: TaskInfo) {
  const name = /^[\w./-]{1,128}$/.test(skill) ? plainLineOf(skill) : '-'
  return { id, peer, skill: name, state, started: created.toISOString() }
}
