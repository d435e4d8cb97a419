/** The latest trees of delegations, and one of them, from lines of the audit log: the facts of `mesh-gateway trees --json`. */
import type { Steps } from '../../process/in-slices.ts'
import type { AgentOf } from '../../recorded/recorded-case.ts'
import {
  type DelegationFacts,
  factsOfDelegations,
  factsOfTree,
  type TreeFacts,
} from '../../trees/draw-tree.ts'
import { gatherTrees, type TreeGathering } from '../../trees/gather-trees.ts'
import { readTreeRecord } from '../../trees/tree-record.ts'
import type { Line } from './facts.ts'

export interface Trees {
  /** The youngest first. */
  readonly trees: readonly TreeFacts[]
  /** True when there are older ones. */
  readonly older: boolean
}

export interface Tree extends TreeFacts {
  readonly nodes: readonly DelegationFacts[]
}

/** Over all trees. */
const MAX_NODES = 20_000

export function* listTrees(lines: readonly Line[], last: number, agentOf: AgentOf): Steps<Trees> {
  const gathering = gatherTrees(last, MAX_NODES)
  yield* gather(lines, gathering)
  const trees: TreeFacts[] = []
  for (const tree of gathering.trees()) {
    trees.push(factsOfTree(tree, agentOf))
    yield
  }
  return { trees, older: gathering.older() }
}

/** Null when no line tells of it. */
export function* oneTree(
  lines: readonly Line[],
  root: string,
  agentOf: AgentOf,
): Steps<Tree | null> {
  const gathering = gatherTrees(1, MAX_NODES)
  yield* gather(lines, gathering, root)
  const [tree] = gathering.trees()
  if (tree === undefined) return null
  return { ...factsOfTree(tree, agentOf), nodes: factsOfDelegations(tree, agentOf) }
}

/** The tree of a delegation, from lines that name its id; null when none of them is its own or a child's. */
export function rootOf(lines: readonly Line[], id: string): string | null {
  for (const line of lines) {
    const record = readTreeRecord(line)
    if (record === null || record === 'foreign') continue
    const { rootId, delegationId, parentId } = record
    if ([rootId, delegationId, parentId].includes(id)) return rootId
  }
  return null
}

function* gather(
  lines: readonly Line[],
  gathering: TreeGathering,
  root: string | null = null,
): Steps<void> {
  for (const line of lines) {
    yield
    const record = readTreeRecord(line)
    if (record === null || record === 'foreign') continue
    if (root === null || record.rootId === root) gathering.add(record)
  }
}
