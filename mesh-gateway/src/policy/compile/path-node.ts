/** The nodes of a trie of path globs: `path-trie.ts` builds it, `path-search.ts` searches it. */

export interface PathTrie {
  readonly root: PathNode
  /** Grows with each search and with each segment: a node with a smaller mark is not active. */
  clock: number
}

export interface PathNode {
  /** By the first character of their text. */
  edges: Map<number, PathEdge> | null
  /** The node after `*`, and the node after `**`. */
  star: PathNode | null
  globstar: PathNode | null
  /** The rules with a glob that ends here, by their index among the rules of the host; ascending. */
  readonly ends: number[]
  /** The first rule with a glob through this node. */
  readonly first: number
  /** For a node after a wildcard: when it became active. */
  mark: number
}

export interface PathEdge {
  text: string
  node: PathNode
}
