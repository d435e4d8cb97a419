/**
 * All path globs of one host in one trie, so that a path is read about once, however many globs there are: globs with
 * the same beginning share nodes. Literal text is compared as a whole; behind a wildcard the trie runs as a
 * non-deterministic automaton, charged to the budget of the decision.
 */
import type { PathGlob } from './path-glob.ts'
import type { PathEdge, PathNode, PathTrie } from './path-node.ts'
import { CHARACTERS, firstOf, PathSearch, type Seed, SLASH } from './path-search.ts'
import type { StepBudget } from './step-budget.ts'

export function pathTrie(): PathTrie {
  return { root: pathNode(0), clock: 0 }
}

/** @param rule its index among the rules of the host: rules are added in ascending order */
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
 * The first rule that has a matching glob and passes the test; `before` when there is none before that one. When the
 * budget runs out, the result so far: an exhausted budget decides nothing.
 * @param path in canonical form
 */
export function findInTrie(
  trie: PathTrie,
  path: string,
  before: number,
  test: (rule: number) => boolean,
  budget: StepBudget,
): number {
  const walk: Walk = { path, test, budget, best: before, seeds: null }
  follow(walk, trie.root, 0)
  const { best, seeds } = walk
  if (seeds === null || budget.exhausted || !seeds.some((seed) => seed.node.first < best))
    return best
  const inOrder = seeds.toSorted((a, b) => a.at - b.at)
  return new PathSearch(trie, path, best, test, budget).run(inOrder)
}

interface Walk {
  readonly path: string
  readonly test: (rule: number) => boolean
  readonly budget: StepBudget
  best: number
  /** Wildcards that `follow` leaves to the search; null for none. */
  seeds: Seed[] | null
}

/**
 * Follows literal text, and each `*` that is a whole segment: its end is certain, so each node is reached at one
 * position at most. Other wildcards become seeds of a search.
 */
function follow(walk: Walk, from: PathNode, start: number): void {
  const { path, test, budget } = walk
  let node = from
  let at = start
  for (;;) {
    if (!budget.spend(1)) return
    const { star, globstar, edges } = node
    if (at === path.length) walk.best = firstOf(node, walk.best, test, budget)
    if (globstar !== null) {
      walk.best = firstOf(globstar, walk.best, test, budget)
      if (globstar.edges !== null) addSeed(walk, { at, node: globstar, across: true })
    }
    if (star !== null && star.first < walk.best) followStar(walk, star, at)
    const edge = edges === null || at === path.length ? undefined : edges.get(path.charCodeAt(at))
    if (edge === undefined || !path.startsWith(edge.text, at)) return
    at += edge.text.length
    node = edge.node
  }
}

function followStar(walk: Walk, star: PathNode, at: number): void {
  const { path, test, budget } = walk
  const { edges } = star
  const next = edges?.get(SLASH)
  if (edges !== null && (next === undefined || edges.size > 1)) {
    addSeed(walk, { at, node: star, across: false })
    return
  }
  const slash = path.indexOf('/', at)
  const end = slash === -1 ? path.length : slash
  if (!budget.spend(Math.ceil((end - at) / CHARACTERS))) return
  if (slash === -1) walk.best = firstOf(star, walk.best, test, budget)
  else if (next !== undefined && path.startsWith(next.text, slash))
    follow(walk, next.node, slash + next.text.length)
}

function addSeed(walk: Walk, seed: Seed): void {
  walk.seeds ??= []
  walk.seeds.push(seed)
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

/** Splits the edge after this many characters. */
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
