/** The reach of all tests of an area, kept from run to run for as long as the sources and the test are the same. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { isRecord } from '../dev/message.ts'
import { type Executed, findReach, type Reach } from './reach.ts'
import { hashOf } from './results.ts'
import type { WorkCopy } from './work-copy.ts'

export interface ReachesOptions {
  /** The copy in which tests run. */
  readonly copy: WorkCopy
  /** All sources of the packages: what a test executes depends on them. */
  readonly sources: readonly string[]
  readonly textOf: (file: string) => string
  /** Where it is kept. */
  readonly path: string
  readonly print: (line: string) => void
  readonly signal: AbortSignal
}

/** A test file runs once. One that fails without a mutant is left out, which is printed. */
export function openReaches(
  options: ReachesOptions,
): (tests: readonly string[]) => Promise<Reach[]> {
  const { copy, signal, sources, textOf, path, print } = options
  const known = readKept(path)
  const ours = new Set(sources)
  const lengthOf = (file: string) => (ours.has(file) ? textOf(file).length : null)
  const sourcesHash = hashOf(sources.map(textOf))
  const leftOut = new Set<string>()

  async function find(test: string, key: string): Promise<Reach | null> {
    // once more for a test that needed it: the machine may be busy
    let found = await findReach(test, { copy, lengthOf, signal })
    if ('kind' in found) found = await findReach(test, { copy, lengthOf, signal })
    if (!('kind' in found)) {
      known.set(key, found)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, JSON.stringify([...known]))
      return found
    }
    const why = found.kind === 'failed' ? `${found.test}: ${found.why}` : 'does not end'
    print(`left out, since it fails without a mutant: ${test}: ${why}`)
    leftOut.add(test)
    return null
  }

  return async (tests) => {
    const reaches: Reach[] = []
    for (const [index, test] of tests.entries()) {
      if (leftOut.has(test)) continue
      const key = hashOf([sourcesHash, test, textOf(test)])
      if (!known.has(key)) print(`without a mutant, ${index + 1} of ${tests.length}: ${test}`)
      const reach = known.get(key) ?? (await find(test, key))
      if (reach !== null) reaches.push(reach)
    }
    return reaches
  }
}

function readKept(path: string): Map<string, Reach> {
  const kept = new Map<string, Reach>()
  let list: unknown
  try {
    list = JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    // nothing was kept, or not to its end
    return kept
  }
  if (!Array.isArray(list)) return kept
  for (const entry of list) {
    const [key, reach]: unknown[] = Array.isArray(entry) ? entry : []
    if (typeof key !== 'string' || !isRecord(reach) || !isRecord(reach.executed)) continue
    if (typeof reach.test !== 'string' || typeof reach.ms !== 'number') continue
    kept.set(key, { test: reach.test, ms: reach.ms, executed: readExecuted(reach.executed) })
  }
  return kept
}

function readExecuted(value: Readonly<Record<string, unknown>>): Executed {
  const executed: Record<string, [number, number][]> = {}
  for (const [file, runs] of Object.entries(value)) {
    if (!Array.isArray(runs)) continue
    executed[file] = runs.map((run: unknown) => {
      const [start, end]: unknown[] = Array.isArray(run) ? run : []
      return [Number(start), Number(end)]
    })
  }
  return executed
}
