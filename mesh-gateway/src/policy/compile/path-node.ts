/** The nodes of a trie of path globs, as `path-trie.ts` builds it and `path-search.ts` walks it. */

export interface PathTrie {
  readonly root: PathNode
  /** Grows with each search and each segment in it: a node that is marked with less is not active. */
  clock: number
}

export interface PathNode {
  /** By the first character of their text. */
  edges: Map<number, PathEdge> | null
  /** What follows a `*`, and what follows a `**`. */
  star: PathNode | null
  globstar: PathNode | null
  /** Rules that have a glob which ends here, by their place among the rules of the host; ascending. */
  readonly ends: number[]
  /** The first rule that has a glob which leads through here. */
  readonly first: number
  /** Of what follows a wildcard: when it became active. */
  mark: number
}

export interface PathEdge {
  text: string
  node: PathNode
}
