/**
 * Debounce: decides when content that was read is used: when two consecutive readings agree. First for all files, so
 * that files written together take effect together; after a few readings file by file, so that a file that keeps
 * changing does not delay the others; in the end also such a file.
 */
import type { RawDirectory, RawFile } from './read-directory.ts'

export interface Settled {
  /** Uses the first reading as it is. */
  begin(raw: RawDirectory): void
  /** Null: read again, soon. */
  believed(raw: RawDirectory): Believed | null
}

export interface Believed {
  /** To be judged. */
  readonly files: readonly RawFile[]
  /** All files; those that are not settled yet stay as they were. */
  readonly raw: Pick<RawDirectory, 'files' | 'problem'>
  /** False when some files are not settled yet. */
  readonly whole: boolean
}

/** Readings that must agree as a whole. */
const TOGETHER = 3
/** Content that keeps changing is judged after this many readings. */
const RESTLESS = 10

export function createSettled(): Settled {
  let lastDigest = ''
  /** By name, the content of the last reading. */
  let last: ReadonlyMap<string, string> = new Map()
  /** By name, how many consecutive readings differed. */
  let restless: ReadonlyMap<string, number> = new Map()
  let unsettled = 0

  /** True for a file that has not changed since the last reading, or that keeps changing for too long. */
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

/** A file that was removed a moment ago. */
function absent(name: string): RawFile {
  return { name, bytes: null, problem: 'has gone', digest: null }
}
