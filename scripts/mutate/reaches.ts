/** The reach of tests, kept from run to run for as long as a test and the sources that it executes are the same. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { isRecord } from '../dev/message.ts'
import { type Executed, findReach, type Reach } from './reach.ts'
import { hashOf } from './results.ts'
import type { WorkCopy } from './work-copy.ts'

export interface ReachesOptions {
  /** The copy in which tests run. */
  readonly copy: WorkCopy
  /** All sources of the packages. */
  readonly sources: readonly string[]
  readonly textOf: (file: string) => string
  /** Where it is kept. */
  readonly path: string
  readonly print: (line: string) => void
  readonly signal: AbortSignal
}

export interface Reaches {
  /** What is known of a test without running it. */
  known(test: string): Reach | null
  /** Runs a test file once, unless that was done. Null for one that fails without a mutant, which is printed. */
  of(test: string): Promise<Reach | null>
}

export function openReaches(options: ReachesOptions): Reaches {
  const { copy, signal, sources, textOf, path, print } = options
  const kept = readKept(path)
  const ours = new Set(sources)
  const lengthOf = (file: string) => (ours.has(file) ? textOf(file).length : null)
  // a source that a test did not load changes nothing for it, until one that it loads is changed too
  const hashFor = ({ test, executed }: Reach) =>
    hashOf([test, ...Object.keys(executed)].map(textOf))
  const stands = (reach: Reach, hash: string) =>
    Object.keys(reach.executed).every((file) => ours.has(file)) && hash === hashFor(reach)
  /** Null for a test that is left out. */
  const found = new Map<string, Reach | null>()

  async function find(test: string): Promise<Reach | null> {
    print(`without a mutant: ${test}`)
    // once more for a test that needed it: the machine may be busy
    let reach = await findReach(test, { copy, lengthOf, signal })
    if ('kind' in reach) reach = await findReach(test, { copy, lengthOf, signal })
    if (!('kind' in reach)) {
      kept.set(test, [reach, hashFor(reach)])
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, JSON.stringify([...kept.values()]))
      return reach
    }
    const why = reach.kind === 'failed' ? `${reach.test}: ${reach.why}` : 'does not end'
    print(`left out, since it fails without a mutant: ${test}: ${why}`)
    return null
  }

  function known(test: string): Reach | null {
    const [reach, hash] = found.has(test) ? [] : (kept.get(test) ?? [])
    if (reach !== undefined && hash !== undefined)
      if (stands(reach, hash)) found.set(test, reach)
      else kept.delete(test)
    return found.get(test) ?? null
  }
  return {
    known,
    async of(test) {
      const reach = known(test)
      if (reach !== null || found.has(test)) return reach
      found.set(test, await find(test))
      return found.get(test) ?? null
    },
  }
}

function readKept(path: string): Map<string, [Reach, string]> {
  const kept = new Map<string, [Reach, string]>()
  let list: unknown
  try {
    list = JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    // nothing was kept, or not to its end
    return kept
  }
  if (!Array.isArray(list)) return kept
  for (const entry of list) {
    const [reach, hash]: unknown[] = Array.isArray(entry) ? entry : []
    if (typeof hash !== 'string' || !isRecord(reach) || !isRecord(reach.executed)) continue
    const { test, ms, executed } = reach
    if (typeof test !== 'string' || typeof ms !== 'number') continue
    kept.set(test, [{ test, ms, executed: readExecuted(executed) }, hash])
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
