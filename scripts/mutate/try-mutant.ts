/**
 * Tries one mutant with the tests that execute it: those at the path of its source first, then those that saw others, then those
 * nearest to its source, the quick ones first. What a test executes is looked up when its turn comes.
 */
import { apply, type Mutant } from './find-mutants.ts'
import { executes, type Reach } from './reach.ts'
import type { Reaches } from './reaches.ts'
import type { Result } from './results.ts'
import { distance, mirrors } from './rooms.ts'
import { type MochaEnd, runMocha } from './run-mocha.ts'
import type { WorkCopy } from './work-copy.ts'

export interface Trial {
  readonly copy: WorkCopy
  readonly textOf: (file: string) => string
  /** The test files to choose from. */
  readonly tests: readonly string[]
  readonly reaches: Reaches
  /** How many mutants each test has seen so far. */
  readonly sightings: Map<string, number>
  readonly mostTests: number
  readonly graceMs: number
  readonly signal: AbortSignal
}

/** Started first and alone: one of them sees most mutants. */
const FIRST_TESTS = 2
/** A mutant has so many times as long as its tests need without one, and `graceMs` more. */
const TIMES_AS_LONG = 3

export async function tryMutant(mutant: Mutant, trial: Trial): Promise<Result> {
  const { file, line, operator, before, after } = mutant
  const result = (verdict: Result['verdict'], by: string): Result => ({
    ...{ file, line, operator, before, after, verdict, by },
  })
  const waiting = inOrder(mutant, trial)
  const changed = apply(trial.textOf(file), mutant)
  let tried = 0
  for (const most of [FIRST_TESTS, trial.mostTests]) {
    const tests = await nextExecuting(waiting, mutant, trial, most - tried)
    if (tests.length === 0) break
    tried += tests.length
    const end = await trial.copy.withFile(file, changed, () => run(tests, trial))
    if (end.kind === 'passed') continue
    if (end.kind === 'hung') return result('seen by the time limit', tests[0]?.test ?? '')
    const test = end.file.replace(`${trial.copy.root}/`, '')
    trial.sightings.set(test, (trial.sightings.get(test) ?? 0) + 1)
    return result('seen', `${test}: ${end.test}: ${end.why}`)
  }
  if (tried === 0) return result('reached by no test', 'no test file')
  return result('survived', `${tried} test files that execute it`)
}

/** Takes tests off the list until so many execute the mutant. */
async function nextExecuting(
  waiting: string[],
  mutant: Mutant,
  { reaches }: Trial,
  most: number,
): Promise<Reach[]> {
  const found: Reach[] = []
  while (found.length < most) {
    const test = waiting.shift()
    if (test === undefined) break
    const reach = await reaches.of(test)
    if (reach !== null && executes(reach, mutant.file, mutant.start)) found.push(reach)
  }
  return found
}

function run(tests: readonly Reach[], { copy, signal, graceMs }: Trial): Promise<MochaEnd> {
  const usualMs = tests.reduce((sum, { ms }) => sum + ms, 0)
  return runMocha({
    ...{ copy, signal },
    files: tests.map(({ test }) => test),
    limitMs: usualMs * TIMES_AS_LONG + graceMs,
  })
}

function inOrder({ file }: Mutant, { tests, reaches, sightings }: Trial): string[] {
  const first = (test: string) => (mirrors(test, file) ? 1 : 0)
  const seen = (test: string) => sightings.get(test) ?? 0
  const msOf = (test: string) => reaches.known(test)?.ms ?? Number.MAX_SAFE_INTEGER
  return tests.toSorted(
    (a, b) =>
      first(b) - first(a) ||
      seen(b) - seen(a) ||
      distance(a, file) - distance(b, file) ||
      msOf(a) - msOf(b),
  )
}
