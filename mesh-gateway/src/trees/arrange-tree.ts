/** Puts the delegations of a tree under those that they were made for. Pure. */
import type { DelegationNode } from './delegation-node.ts'

/** One delegation in its place, as the tree is read from top to bottom. */
export interface Placed {
  readonly node: DelegationNode
  /** 0 of those that begin the chain. */
  readonly depth: number
  /** Of each delegation above it, and of itself: true when it is the last one there. */
  readonly last: readonly boolean[]
  /** True of one whose parent is not in the log. */
  readonly lost: boolean
}

/** No chain is longer (`maxHops` of policy ends there). What a log tells beyond that begins again on the left. */
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
    const waiting = inOrder(roots).map((node, index, all) => ({
      ...{ node, depth: 0, last: [index === all.length - 1] },
      lost: areLost || lost.has(node),
    }))
    waiting.reverse()
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      if (seen.has(next.node)) continue
      seen.add(next.node)
      placed.push(next)
      const { depth, last } = next
      if (depth >= MAX_DEPTH) continue
      const below = inOrder(children.get(next.node) ?? [])
      for (const [index, node] of below.entries().toArray().reverse())
        waiting.push({
          ...{ node, depth: depth + 1, lost: false },
          last: [...last, index === below.length - 1],
        })
    }
  }
  walk(children.get(null) ?? [], false)
  // a log that was tampered with may name parents in a circle
  for (const node of nodes) if (!seen.has(node)) walk([node], true)
  return placed
}

/** Null: it begins the chain. Undefined: its parent is not known. */
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
    // older gateways tell the chain alone: good where it names one delegation
    const [only, ...more] = byChain.get([...before, caller].join(' ')) ?? []
    return more.length === 0 ? only : undefined
  }
}

function inOrder(nodes: readonly DelegationNode[]): DelegationNode[] {
  return nodes.toSorted(
    (a, b) => a.startMs - b.startMs || (a.delegationId < b.delegationId ? -1 : 1),
  )
}
