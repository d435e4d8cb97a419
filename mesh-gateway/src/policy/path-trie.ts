/**
 * All path globs of one host in one trie, so that a path is read about once, however many globs there are: globs that
 * begin alike share nodes. Literal text is compared as a whole; behind a wildcard the trie is run as a
 * non-deterministic automaton, whose steps the budget of the decision pays for.
 */
import type { PathGlob } from './path-glob.ts'
import { firstOf, PathSearch, type Seed } from './path-search.ts'
import type { StepBudget } from './step-budget.ts'

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

export function pathTrie(): PathTrie {
  return { root: pathNode(0), clock: 0 }
}

/** @param rule its place among the rules of the host: rules are added in ascending order */
export function addGlob({ root }: PathTrie, glob: PathGlob, rule: number): void {
  let node = root
  for (const token of glob.tokens) {
    if (token === '*') node = node.star ??= pathNode(rule)
    else if (token === '**') node = node.globstar ??= pathNode(rule)
    else node = addText(node, token, rule)
  }
  if (node.ends.at(-1) !== rule) node.ends.push(rule)
}

/**
 * The first rule that has a glob which matches the path and that passes the test; `before` when there is none before
 * that one. When the budget does not suffice, what has been found until then: an exhausted budget decides nothing.
 * @param path in canonical form
 */
export function findInTrie(
  trie: PathTrie,
  path: string,
  before: number,
  test: (rule: number) => boolean,
  budget: StepBudget,
): number {
  let best = before
  const seeds: Seed[] = []
  let node = trie.root
  let at = 0
  // literal text as far as it leads; the wildcards on the way may lead to a better rule
  for (;;) {
    if (!budget.spend(1)) return best
    const { star, globstar, edges } = node
    if (at === path.length) best = firstOf(node, best, test, budget)
    if (globstar !== null) best = firstOf(globstar, best, test, budget)
    if (star !== null) seeds.push({ at, node: star, across: false })
    if (globstar?.edges != null) seeds.push({ at, node: globstar, across: true })
    const edge = edges === null || at === path.length ? undefined : edges.get(path.charCodeAt(at))
    if (edge === undefined || !path.startsWith(edge.text, at)) break
    at += edge.text.length
    node = edge.node
  }
  return seeds.some((seed) => seed.node.first < best)
    ? new PathSearch(trie, path, best, test, budget).run(seeds)
    : best
}

function addText(from: PathNode, text: string, rule: number): PathNode {
  let node = from
  let at = 0
  while (at < text.length) {
    node.edges ??= new Map()
    const first = text.charCodeAt(at)
    const edge = node.edges.get(first)
    if (edge === undefined) {
      const end = pathNode(rule)
      node.edges.set(first, { text: text.slice(at), node: end })
      return end
    }
    const shared = sharedLength(edge.text, text, at)
    if (shared < edge.text.length) split(edge, shared)
    at += shared
    node = edge.node
  }
  return node
}

/** Ends the edge after so many characters; a second one goes on from there. */
function split(edge: PathEdge, length: number): void {
  const { text, node } = edge
  const middle = pathNode(node.first)
  middle.edges = new Map([[text.charCodeAt(length), { text: text.slice(length), node }]])
  edge.text = text.slice(0, length)
  edge.node = middle
}

function sharedLength(edge: string, text: string, at: number): number {
  const most = Math.min(edge.length, text.length - at)
  let length = 1
  while (length < most && edge.charCodeAt(length) === text.charCodeAt(at + length)) length += 1
  return length
}

function pathNode(first: number): PathNode {
  return { edges: null, star: null, globstar: null, ends: [], first, mark: 0 }
}
