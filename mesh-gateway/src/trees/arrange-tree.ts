/** Arranges the delegations of a tree below their parents. Pure. */
import type { DelegationNode } from './delegation-node.ts'

/** One delegation at its place, in the order of the drawing. */
export interface Placed {
  readonly node: DelegationNode
  /** 0 for those that begin the chain. */
  readonly depth: number
  /** True when its parent is not in the log. */
  readonly lost: boolean
}

/** No chain is longer (the maximum of `maxHops` in policy). Deeper ones in a log begin again on the left. */
const MAX_DEPTH = 64

export function arrangeTree(nodes: readonly DelegationNode[]): Placed[] {
  const children = new Map<DelegationNode | null, DelegationNode[]>()
  const under = (parent: DelegationNode | null, node: DelegationNode) => {
    const there = children.get(parent)
    if (there === undefined) children.set(parent, [node])
    else there.push(node)
  }
  const lost = new Set<DelegationNode>()
  const parentOf = parentFinder(nodes)
  for (const node of nodes) {
    const parent = parentOf(node)
    if (parent === undefined) lost.add(node)
    under(parent ?? null, node)
  }
  const placed: Placed[] = []
  const seen = new Set<DelegationNode>()
  const walk = (roots: readonly DelegationNode[], areLost: boolean) => {
    const waiting = inOrder(roots).map((node) => ({
      ...{ node, depth: 0 },
      lost: areLost || lost.has(node),
    }))
    waiting.reverse()
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      if (seen.has(next.node)) continue
      seen.add(next.node)
      placed.push(next)
      const { depth } = next
      if (depth >= MAX_DEPTH) continue
      const below = inOrder(children.get(next.node) ?? [])
      for (const node of below.toReversed()) waiting.push({ node, depth: depth + 1, lost: false })
    }
  }
  walk(children.get(null) ?? [], false)
  // a manipulated log may contain a circle of parents
  for (const node of nodes) if (!seen.has(node)) walk([node], true)
  return placed
}

/** Null: it begins the chain. Undefined: its parent is unknown. */
function parentFinder(
  nodes: readonly DelegationNode[],
): (node: DelegationNode) => DelegationNode | null | undefined {
  const byId = new Map(nodes.map((node) => [`${node.callee} ${node.delegationId}`, node]))
  const byChain = Map.groupBy(nodes, ({ before, caller, callee }) =>
    [...before, caller, callee].join(' '),
  )
  return (node) => {
    const { parentId, before, caller } = node
    if (parentId !== null) return byId.get(`${caller} ${parentId}`)
    if (before.length === 0) return null
    // older gateways record the chain only: usable where it names one delegation
    const [only, ...more] = byChain.get([...before, caller].join(' ')) ?? []
    return more.length === 0 ? only : undefined
  }
}

function inOrder(nodes: readonly DelegationNode[]): DelegationNode[] {
  return nodes.toSorted(
    (a, b) => a.startMs - b.startMs || (a.delegationId < b.delegationId ? -1 : 1),
  )
}
