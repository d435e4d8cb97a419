/** Draws a tree of delegations as text: below each delegation its children, with states and times. */
import { printable } from '@clawmesh/proto'
import type { AgentOf } from '../recorded/recorded-case.ts'
import { plural } from '../text/plural.ts'
import { arrangeTree } from './arrange-tree.ts'
import type { Standing, State } from './delegation-node.ts'
import type { GatheredTree } from './gather-trees.ts'

export interface TreeFacts {
  readonly root_id: string
  /** `tenant/agent`, or a SPIFFE ID that is no agent's. Null: the beginning is not in the log. */
  readonly origin: string | null
  readonly began: string
  readonly ended: string
  readonly duration_ms: number
  readonly delegations: number
  /** The number of delegations by state. */
  readonly states: Readonly<Partial<Record<State, number>>>
  /** Calls for which there was no room. */
  readonly left_out: number
}

/** In the order of the drawing. */
export interface DelegationFacts extends Standing {
  readonly delegation_id: string
  readonly parent_id: string | null
  /** The parent is not in the log. */
  readonly parent_lost: boolean
  readonly depth: number
  readonly caller: string
  readonly callee: string
  readonly began: string
  readonly ended: string
  readonly duration_ms: number
  /** The number of refusals for which this one stands. */
  readonly times: number
}

export function factsOfTree({ rootId, nodes, leftOut }: GatheredTree, agentOf: AgentOf): TreeFacts {
  const began = Math.min(...bounds(nodes, 'startMs'))
  const ended = Math.max(...bounds(nodes, 'endMs'))
  const states: Partial<Record<State, number>> = {}
  for (const node of nodes) {
    const { state } = node.standing()
    states[state] = (states[state] ?? 0) + node.times
  }
  const first = nodes.find(({ before }) => before.length === 0)
  const origin = first?.caller ?? nodes.find(({ before }) => before.length > 0)?.before[0] ?? null
  return {
    root_id: rootId,
    origin: origin === null ? null : nameOf(origin, agentOf),
    began: isoOf(began),
    ended: isoOf(ended),
    duration_ms: milliseconds(ended - began),
    delegations: nodes.length,
    states,
    left_out: leftOut,
  }
}

export function factsOfDelegations(tree: GatheredTree, agentOf: AgentOf): DelegationFacts[] {
  return arrangeTree(tree.nodes).map(({ node, depth, lost }) => ({
    ...{ delegation_id: node.delegationId, parent_id: node.parentId, parent_lost: lost, depth },
    caller: nameOf(node.caller, agentOf),
    callee: nameOf(node.callee, agentOf),
    ...node.standing(),
    began: isoOf(node.startMs),
    ended: isoOf(node.endMs),
    duration_ms: milliseconds(node.endMs - node.startMs),
    times: node.times,
  }))
}

/** The lines of the drawing, the origin of the tree first. */
export function drawTree(facts: TreeFacts, nodes: readonly DelegationFacts[]): string {
  const began = Date.parse(facts.began)
  const lasts = lastOnes(nodes)
  const rows = nodes.map((node, i) => rowOf(node, lasts[i] ?? [], began))
  const widths = [0, 1, 2, 3].map((column) =>
    rows.reduce((width, row) => Math.max(width, row[column]?.length ?? 0), 0),
  )
  const lines = rows.map((row) =>
    printable(row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')).trimEnd(),
  )
  const head = `tree ${facts.root_id}  ${facts.began}  ${seconds(facts.duration_ms)}  ${countsOf(facts)}`
  return [printable(head), printable(facts.origin ?? 'the beginning is not in the log'), ...lines]
    .map((line) => `${line}\n`)
    .join('')
}

/** For each node, and for each depth down to its own: true when no further branch follows there. */
function lastOnes(nodes: readonly DelegationFacts[]): readonly (readonly boolean[])[] {
  const lasts: (readonly boolean[])[] = []
  let follows: readonly boolean[] = []
  for (const { depth } of nodes.toReversed()) {
    lasts.push(Array.from({ length: depth + 1 }, (_, d) => follows[d] !== true))
    follows = Array.from({ length: depth + 1 }, (_, d) => d === depth || follows[d] === true)
  }
  return lasts.toReversed()
}

/** `6 delegations, 1 refused, 2 running` */
export function countsOf({ delegations, states, left_out: leftOut }: TreeFacts): string {
  const told = (['refused', 'cut', 'canceled', 'running', 'unknown'] as const).flatMap((state) =>
    states[state] === undefined ? [] : [`${states[state]} ${state}`],
  )
  const left = leftOut === 0 ? [] : [`${leftOut} left out`]
  return [plural(delegations, 'delegation'), ...told, ...left].join(', ')
}

export function seconds(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(3)} s`
}

type Row = readonly [callee: string, state: string, began: string, lasted: string, id: string]

function rowOf(node: DelegationFacts, last: readonly boolean[], beganMs: number): Row {
  const { state, code, times } = node
  const startMs = Date.parse(node.began)
  const above = last.slice(0, -1).map((end) => (end ? '   ' : '│  '))
  const branch = last.at(-1) === true ? '└─ ' : '├─ '
  const of = node.parent_lost ? ` (of ${node.caller}, for what is not in the log)` : ''
  return [
    `${above.join('')}${branch}${node.callee}${of}`,
    `${state}${code === null ? '' : ` ${code}`}${times > 1 ? ` ${times} times` : ''}`,
    `${startMs < beganMs ? '-' : '+'}${seconds(Math.abs(startMs - beganMs))}`,
    seconds(node.duration_ms),
    node.delegation_id,
  ]
}

function nameOf(id: string, agentOf: AgentOf): string {
  const agent = agentOf(id)
  return agent === null ? id : `${agent.tenant}/${agent.agent}`
}

/** Without spreading: a tree may have two hundred thousand. */
function bounds(nodes: GatheredTree['nodes'], key: 'startMs' | 'endMs'): [number, number] {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const node of nodes) {
    least = Math.min(least, node[key])
    most = Math.max(most, node[key])
  }
  return [least, most]
}

function milliseconds(value: number): number {
  return Math.round(value * 1000) / 1000
}

/** A manipulated log may contain times outside the calendar. */
function isoOf(ms: number): string {
  return Math.abs(ms) > 8.64e15 ? String(ms) : new Date(ms).toISOString()
}
