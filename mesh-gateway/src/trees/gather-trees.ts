/**
 * Collects the youngest trees of an audit log, or a single one, from records in any order: of rotated files, and of
 * several gateways. Memory is bounded, however long the log. Ids of trees are UUIDv7, so the youngest have the largest
 * ids.
 */
import { DelegationNode } from './delegation-node.ts'
import type { TreeRecord } from './tree-record.ts'

export interface GatheredTree {
  readonly rootId: string
  readonly nodes: readonly DelegationNode[]
  /** Calls of the tree for which there was no room. */
  readonly leftOut: number
}

export interface TreeGathering {
  add(record: TreeRecord): void
  /** The youngest first. */
  trees(): GatheredTree[]
  /** True when older trees were dropped. */
  older(): boolean
}

/** Over all trees. */
const MAX_NODES = 200_000

interface Growing {
  readonly nodes: Map<string, DelegationNode>
  leftOut: number
}

/** @param most the number of trees to keep */
export function gatherTrees(most: number, maxNodes = MAX_NODES): TreeGathering {
  const growing = new Map<string, Growing>()
  const perTree = Math.max(1, Math.floor(maxNodes / most))
  /** The smallest kept id, once the maximum is reached. */
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
