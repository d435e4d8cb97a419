/** Places agents and hosts in columns: those that nobody calls on the left, then those that they call, hosts last. Pure. */
import type { Edge } from '../../api/answer-shapes.ts'

export interface Placed {
  readonly key: string
  /** Null: unknown. */
  readonly name: string | null
  readonly kind: 'agent' | 'host'
  readonly column: number
  readonly row: number
}

export interface Line {
  readonly from: Placed
  readonly to: Placed
  readonly edge: Edge
}

export interface Layout {
  readonly nodes: readonly Placed[]
  readonly lines: readonly Line[]
  readonly columns: number
  readonly rows: number
}

/** Longer chains go on in the last column of agents. */
const MOST_COLUMNS = 5
const MOST_APART = 12

export function layOut(edges: readonly Edge[]): Layout {
  const columns = columnsOf(edges)
  const last = Math.max(0, ...columns.values())
  const nodes = new Map<string, Placed>()
  const names = new Set(edges.flatMap((edge) => [fromKey(edge), toKey(edge)]))
  // each in a row of its own, where that is not too high: no line runs behind another's box
  const apart = names.size <= MOST_APART
  const rows: number[] = []
  const place = (key: string, name: string | null, kind: Placed['kind'], column: number) => {
    const known = nodes.get(key)
    if (known !== undefined) return known
    const row = apart ? nodes.size : (rows[column] ?? 0)
    rows[column] = row + 1
    const placed = { key, name, kind, column, row }
    nodes.set(key, placed)
    return placed
  }
  const lines = edges.map((edge): Line => {
    const from = place(fromKey(edge), edge.from, 'agent', columns.get(fromKey(edge)) ?? 0)
    const kind = edge.plane === 'egress' ? 'host' : 'agent'
    const column = kind === 'host' ? last + 1 : (columns.get(toKey(edge)) ?? 0)
    return { from, to: place(toKey(edge), edge.to, kind, column), edge }
  })
  const used = Array.from(rows, (row) => row ?? 0)
  return { nodes: [...nodes.values()], lines, columns: used.length, rows: Math.max(0, ...used) }
}

/** The column of each agent: one to the right of the first that calls it. What is refused alone places nobody. */
function columnsOf(edges: readonly Edge[]): ReadonlyMap<string, number> {
  const calls = edges.filter(({ plane }) => plane === 'delegation')
  const made = calls.filter(({ allowed, open }) => allowed + open > 0)
  const called = new Set(made.filter(({ from, to }) => from !== to).map(toKey))
  const columns = new Map<string, number>()
  for (const edge of edges) if (!called.has(fromKey(edge))) columns.set(fromKey(edge), 0)
  // all are in a circle of calls: its first one begins it
  const [first] = made
  if (columns.size === 0 && first !== undefined) columns.set(fromKey(first), 0)
  for (const some of [made, calls])
    for (let round = 0; round < MOST_COLUMNS; round += 1) placeCalled(some, columns)
  for (const edge of calls)
    for (const key of [fromKey(edge), toKey(edge)]) if (!columns.has(key)) columns.set(key, 0)
  return columns
}

function placeCalled(calls: readonly Edge[], columns: Map<string, number>): void {
  for (const edge of calls) {
    const from = columns.get(fromKey(edge))
    if (from === undefined || columns.has(toKey(edge))) continue
    columns.set(toKey(edge), Math.min(MOST_COLUMNS - 1, from + 1))
  }
}

function fromKey({ from }: Edge): string {
  return `agent ${from}`
}

function toKey({ plane, to }: Edge): string {
  return `${plane === 'egress' ? 'host' : 'agent'} ${to}`
}
