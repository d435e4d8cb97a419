/**
 * Gathers the youngest trees of an audit log, or one of them, from records in any order: of rotated files, and of several gateways.
 * Memory is bounded, however long the log. Ids of trees are UUIDv7, so the youngest are those with the largest ids.
 */
import { DelegationNode } from './delegation-node.ts'
import type { TreeRecord } from './tree-record.ts'

export interface GatheredTree {
  readonly rootId: string
  readonly nodes: readonly DelegationNode[]
  /** Calls of the tree that there was no room for. */
  readonly leftOut: number
}

export interface TreeGathering {
  add(record: TreeRecord): void
  /** The youngest first. */
  trees(): GatheredTree[]
  /** True when there were older trees than there was room for. */
  older(): boolean
}

/** Of all trees together. */
const MAX_NODES = 200_000

interface Growing {
  readonly nodes: Map<string, DelegationNode>
  leftOut: number
}

/** @param most trees that are kept */
export function gatherTrees(most: number, maxNodes = MAX_NODES): TreeGathering {
  const growing = new Map<string, Growing>()
  const perTree = Math.max(1, Math.floor(maxNodes / most))
  /** The smallest id that is kept once there are as many as may be. */
  let oldest: string | null = null
  let older = false

  function treeOf(rootId: string): Growing | null {
    const known = growing.get(rootId)
    if (known !== undefined) return known
    if (growing.size >= most) {
      older = true
      oldest ??= smallest(growing.keys())
      if (oldest === null || rootId < oldest) return null
      growing.delete(oldest)
      oldest = null
    }
    const fresh: Growing = { nodes: new Map(), leftOut: 0 }
    growing.set(rootId, fresh)
    return fresh
  }

  return {
    add(record) {
      const tree = treeOf(record.rootId)
      if (tree === null) return
      const { caller, callee, delegationId } = record
      const key = `${caller} ${callee} ${delegationId}`
      let node = tree.nodes.get(key)
      if (node === undefined && tree.nodes.size >= perTree) {
        tree.leftOut += record.times
        return
      }
      node ??= new DelegationNode(record)
      tree.nodes.set(key, node)
      node.add(record)
    },
    trees: () =>
      [...growing]
        .map(([rootId, { nodes, leftOut }]) => ({ rootId, nodes: [...nodes.values()], leftOut }))
        .sort((a, b) => (a.rootId < b.rootId ? 1 : -1)),
    older: () => older,
  }
}

function smallest(ids: Iterable<string>): string | null {
  let least: string | null = null
  for (const id of ids) if (least === null || id < least) least = id
  return least
}
