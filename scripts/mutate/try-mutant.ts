/** Tries one mutant with the tests that execute it: those at the path of its source first, then those that saw others, then the quick ones. */
import { apply, type Mutant } from './find-mutants.ts'
import { executes, type Reach } from './reach.ts'
import type { Result } from './results.ts'
import { mirrors } from './rooms.ts'
import { runMocha } from './run-mocha.ts'
import type { WorkCopy } from './work-copy.ts'

export interface Trial {
  readonly copy: WorkCopy
  readonly textOf: (file: string) => string
  readonly reaches: readonly Reach[]
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
  const reaching = trial.reaches.filter((reach) => executes(reach, file, mutant.start))
  if (reaching.length === 0) return result('reached by no test', 'no test file')
  const chosen = inOrder(reaching, mutant, trial).slice(0, trial.mostTests)
  const changed = apply(trial.textOf(file), mutant)
  return await trial.copy.withFile(file, changed, async () => {
    for (const tests of [chosen.slice(0, FIRST_TESTS), chosen.slice(FIRST_TESTS)]) {
      if (tests.length === 0) continue
      const usualMs = tests.reduce((sum, { ms }) => sum + ms, 0)
      const end = await runMocha({
        ...{ copy: trial.copy, signal: trial.signal },
        files: tests.map(({ test }) => test),
        limitMs: usualMs * TIMES_AS_LONG + trial.graceMs,
      })
      if (end.kind === 'passed') continue
      if (end.kind === 'hung') return result('seen by the time limit', tests[0]?.test ?? '')
      const test = end.file.replace(`${trial.copy.root}/`, '')
      trial.sightings.set(test, (trial.sightings.get(test) ?? 0) + 1)
      return result('seen', `${test}: ${end.test}: ${end.why}`)
    }
    return result('survived', `${chosen.length} of ${reaching.length} test files that execute it`)
  })
}

function inOrder(reaching: readonly Reach[], mutant: Mutant, { sightings }: Trial): Reach[] {
  const first = ({ test }: Reach) => (mirrors(test, mutant.file) ? 1 : 0)
  const seen = ({ test }: Reach) => sightings.get(test) ?? 0
  return reaching.toSorted((a, b) => first(b) - first(a) || seen(b) - seen(a) || a.ms - b.ms)
}
