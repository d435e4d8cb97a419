/**
 * When what was read is believed: when two readings, one after the other, agree. First on everything, so that files that are
 * written together come into force together; after a few readings file by file, so that a file that never holds still does not
 * hold up the others; and such a file is judged as it is in the end.
 */
import type { RawDirectory, RawFile } from './read-directory.ts'

export interface Settled {
  /** What the first reading found is believed. */
  begin(raw: RawDirectory): void
  /** Null: read again, soon. */
  believed(raw: RawDirectory): Believed | null
}

export interface Believed {
  /** To be judged. */
  readonly files: readonly RawFile[]
  /** All files, of which those that are not believed yet stay as they were. */
  readonly raw: Pick<RawDirectory, 'files' | 'problem'>
  /** False when some are not believed yet. */
  readonly whole: boolean
}

/** Readings that must agree as a whole. */
const TOGETHER = 3
/** Content that never holds still is judged all the same after so many readings. */
const RESTLESS = 10

export function createSettled(): Settled {
  let lastDigest = ''
  /** By name, as it was read the last time. */
  let last: ReadonlyMap<string, string> = new Map()
  /** By name, how many readings in a row differed. */
  let restless: ReadonlyMap<string, number> = new Map()
  let unsettled = 0

  /** True of a file that is as it was read before, or that never will be. */
  function observe(raw: RawDirectory): (name: string) => boolean {
    const now = contents(raw)
    const before = last
    const counted = new Map<string, number>()
    for (const name of new Set([...now.keys(), ...before.keys()]))
      if (now.get(name) !== before.get(name)) counted.set(name, (restless.get(name) ?? 0) + 1)
    last = now
    restless = counted
    return (name) => !counted.has(name) || (counted.get(name) ?? 0) >= RESTLESS
  }

  return {
    begin(raw) {
      lastDigest = raw.digest
    },
    believed(raw) {
      const vanished = [...last.keys()]
      const holds = observe(raw)
      const agrees = raw.digest === lastDigest
      lastDigest = raw.digest
      if (agrees) {
        unsettled = 0
        return { files: raw.files, raw, whole: true }
      }
      unsettled += 1
      if (unsettled < TOGETHER) return null
      const names = new Set(raw.files.map(({ name }) => name))
      const gone = vanished.filter((name) => !names.has(name) && !holds(name)).map(absent)
      const files = raw.files.filter(({ name }) => holds(name))
      const all = [...raw.files, ...gone]
      return { files, raw: { files: all, problem: raw.problem }, whole: false }
    },
  }
}

function contents(raw: RawDirectory): ReadonlyMap<string, string> {
  return new Map(raw.files.map(({ name, digest, problem }) => [name, digest ?? problem ?? '']))
}

/** It was there a moment ago. */
function absent(name: string): RawFile {
  return { name, bytes: null, problem: 'has gone', digest: null }
}
