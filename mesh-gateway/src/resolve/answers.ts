/**
 * A bounded cache of DNS answers. Each is charged to the agent that asked. When the cache is full, the agent with the
 * most answers loses its oldest (eviction by owner, no LRU), so that an agent with thousands of names cannot evict the
 * answers of others.
 */
import type { ResolveFailure } from './resolver.ts'

export interface Answers<T> {
  /** Undefined when there is no valid one. */
  get(name: string, asker: string): readonly T[] | ResolveFailure | undefined
  /** @param untilMs when it expires */
  put(name: string, answer: readonly T[] | ResolveFailure, untilMs: number, asker: string): void
  readonly size: number
}

interface Entry<T> {
  readonly answer: readonly T[] | ResolveFailure
  readonly untilMs: number
  /** The agent to which it is charged. */
  owner: string
  /** Another agent that has used it: it takes over the entry before the eviction. */
  other: string | null
}

/** @param now milliseconds of a monotonic clock */
export function createAnswers<T>(most: number, now: () => number): Answers<T> {
  const entries = new Map<string, Entry<T>>()
  /** By owner, the oldest first. */
  const held = new Map<string, Set<string>>()

  const release = (name: string, owner: string) => {
    const names = held.get(owner)
    names?.delete(name)
    if (names?.size === 0) held.delete(owner)
  }
  const charge = (name: string, owner: string) => {
    const names = held.get(owner)
    if (names === undefined) held.set(owner, new Set([name]))
    else names.add(name)
  }
  const largest = (): string => {
    let found = ''
    let size = 0
    for (const [owner, names] of held)
      if (names.size > size) {
        found = owner
        size = names.size
      }
    return found
  }
  const makeRoom = () => {
    while (entries.size > most) {
      const owner = largest()
      const oldest = held.get(owner)?.values().next()
      if (oldest === undefined || oldest.done === true) return
      const name = oldest.value
      const entry = entries.get(name)
      release(name, owner)
      // each entry changes its owner once and is then dropped, unless it is used again: the loop ends
      if (entry?.other != null && entry.untilMs > now()) {
        entry.owner = entry.other
        entry.other = null
        charge(name, entry.owner)
      } else entries.delete(name)
    }
  }
  return {
    get(name, asker) {
      const entry = entries.get(name)
      if (entry === undefined || entry.untilMs <= now()) return undefined
      if (entry.owner !== asker) entry.other = asker
      return entry.answer
    },
    put(name, answer, untilMs, asker) {
      const before = entries.get(name)
      if (before !== undefined) {
        entries.delete(name)
        release(name, before.owner)
      }
      if (untilMs <= now()) return
      entries.set(name, { answer, untilMs, owner: asker, other: null })
      charge(name, asker)
      makeRoom()
    },
    get size() {
      return entries.size
    },
  }
}
