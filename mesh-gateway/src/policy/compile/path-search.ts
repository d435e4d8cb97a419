/**
 * Matches a path behind wildcards of a trie of path globs: a non-deterministic automaton, run over the path once. It
 * visits the positions of the path in order, with the nodes active there; where only one text can follow, it jumps to
 * the next occurrence of that text. Each step is charged to the budget.
 */
import type { PathNode, PathTrie } from './path-node.ts'
import type { StepBudget } from './step-budget.ts'

/** A wildcard that was reached by literal text alone. */
export interface Seed {
  readonly at: number
  readonly node: PathNode
  /** True after `**`, false after `*`. */
  readonly across: boolean
}

/** The comparison of this many characters costs one step. */
export const CHARACTERS = 8
export const SLASH = 0x2f

export class PathSearch {
  readonly #trie: PathTrie
  readonly #path: string
  readonly #test: (rule: number) => boolean
  readonly #budget: StepBudget
  #best: number
  /** Clock values: a node with an older mark is not active. */
  readonly #began: number
  #segment: number
  /** Nodes after `**`: active to the end of the path. */
  readonly #across: PathNode[] = []
  /** Nodes after `*`: active to the end of the segment. */
  readonly #within: PathNode[] = []
  /** Nodes reached at the current position. */
  readonly #here: PathNode[] = []
  /** By position, the nodes reached there: the text before it has been compared. */
  readonly #due = new Map<number, PathNode[]>()
  /** The position of the next slash, once it was searched. */
  #slash = -1

  constructor(
    trie: PathTrie,
    path: string,
    before: number,
    test: (rule: number) => boolean,
    budget: StepBudget,
  ) {
    trie.clock += 1
    this.#trie = trie
    this.#path = path
    this.#best = before
    this.#test = test
    this.#budget = budget
    this.#began = trie.clock
    this.#segment = trie.clock
  }

  /**
   * @param seeds in the order of their positions. Returns the best rule, or the previous one when there is no better
   *   one.
   */
  run(seeds: readonly Seed[]): number {
    const end = this.#path.length
    let seed = 0
    let at = seeds[0]?.at ?? end
    while (at <= end) {
      for (let one = seeds[seed]; one?.at === at; one = seeds[seed]) {
        this.#add(one.node, one.across)
        seed += 1
      }
      this.#arrive(at)
      if (at === end) break
      const active = this.#across.length + this.#within.length + this.#here.length
      if (!this.#budget.spend(active + 1)) return this.#best
      this.#leave(at)
      at = this.#next(at + 1, seeds[seed]?.at ?? end + 1)
    }
    if (at === end) for (const node of this.#within) this.#accept(node)
    return this.#best
  }

  #arrive(at: number): void {
    if (this.#due.size === 0) return
    const nodes = this.#due.get(at)
    if (nodes === undefined) return
    this.#due.delete(at)
    for (const node of nodes) {
      if (at === this.#path.length) this.#accept(node)
      if (node.edges !== null) this.#here.push(node)
      if (node.star !== null) this.#add(node.star, false)
      if (node.globstar !== null) this.#add(node.globstar, true)
    }
  }

  /** Follows the texts that begin here. */
  #leave(at: number): void {
    const character = this.#path.charCodeAt(at)
    for (const node of this.#here) this.#follow(node, character, at)
    for (const node of this.#across) this.#follow(node, character, at)
    for (const node of this.#within) this.#follow(node, character, at)
    this.#here.length = 0
    if (character !== SLASH) return
    this.#trie.clock += 1
    this.#segment = this.#trie.clock
    this.#within.length = 0
  }

  #follow({ edges }: PathNode, character: number, at: number): void {
    const edge = edges?.get(character)
    if (edge === undefined) return
    const { text, node } = edge
    this.#budget.spend(Math.ceil(text.length / CHARACTERS))
    if (!this.#path.startsWith(text, at)) return
    const there = this.#due.get(at + text.length)
    if (there === undefined) this.#due.set(at + text.length, [node])
    else there.push(node)
  }

  /** The next position where a node can be reached; beyond the path when there is none. */
  #next(from: number, seed: number): number {
    if (this.#due.size > 0) return from
    const active = this.#across.length + this.#within.length
    if (active === 0) return seed
    const across = this.#across[0]
    const { edges = null } = across ?? this.#within[0] ?? {}
    if (active > 1 || edges === null || edges.size > 1) return from
    const [edge] = edges.values()
    if (edge === undefined) return from
    const found = this.#path.indexOf(edge.text, from)
    const place = found === -1 ? this.#path.length : found
    const end = across === undefined ? this.#slashFrom(from) : place
    const next = Math.min(place, end, seed)
    this.#budget.spend(Math.ceil((next - from) / CHARACTERS))
    return next
  }

  #slashFrom(from: number): number {
    if (this.#slash < from) {
      const found = this.#path.indexOf('/', from)
      this.#slash = found === -1 ? this.#path.length : found
    }
    return this.#slash
  }

  #add(node: PathNode, across: boolean): void {
    if (node.mark >= (across ? this.#began : this.#segment)) return
    node.mark = this.#trie.clock
    if (!across) {
      this.#within.push(node)
      return
    }
    this.#accept(node)
    // at the end of a glob, reaching the node is already the match
    if (node.edges !== null) this.#across.push(node)
  }

  #accept(node: PathNode): void {
    this.#best = firstOf(node, this.#best, this.#test, this.#budget)
  }
}

/** After the match of a glob: the first of its rules that passes, if it is before the best one. */
export function firstOf(
  { ends }: PathNode,
  best: number,
  test: (rule: number) => boolean,
  budget: StepBudget,
): number {
  for (const rule of ends) {
    if (rule >= best || !budget.spend(1)) return best
    if (test(rule)) return rule
  }
  return best
}
