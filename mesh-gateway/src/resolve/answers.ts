/**
 * Answers that are still good, a bounded number. Each is charged to who asked for it: when there are too many, those who hold the most
 * lose their oldest, so that nobody can push out what others use by asking for thousands of names.
 */
import type { ResolveFailure } from './resolver.ts'

export interface Answers<T> {
  /** Undefined when there is none that is still good. */
  get(name: string, asker: string): readonly T[] | ResolveFailure | undefined
  /** @param untilMs when it is good no more. */
  put(name: string, answer: readonly T[] | ResolveFailure, untilMs: number, asker: string): void
  readonly size: number
}

interface Entry<T> {
  readonly answer: readonly T[] | ResolveFailure
  readonly untilMs: number
  /** Who it is charged to. */
  owner: string
  /** Who else has used it: it is handed on to them, not dropped. */
  other: string | null
}

/** @param now milliseconds of a monotonic clock. */
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
      // each is handed on once and then dropped, unless it has been used again: this comes to an end
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
