/** Tries the mutants of a room one by one, and says which of them no test has seen. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createRandom } from '../security/random.ts'
import { type Equivalent, suppress } from './equivalents.ts'
import { findMutants, type Mutant } from './find-mutants.ts'
import { openReaches } from './reaches.ts'
import { hashOf, openResults, type Result } from './results.ts'
import { type Room, sourcesOf, testsIn } from './rooms.ts'
import { tryMutant } from './try-mutant.ts'
import { createWorkCopy } from './work-copy.ts'

export interface JudgeOptions {
  /** The root of the checkout, which stays as it is. */
  readonly root: string
  /** All files of the checkout, relative to it. */
  readonly files: readonly string[]
  /** Folders of packages, relative to it. */
  readonly modules: readonly string[]
  readonly room: Room
  readonly equivalents: readonly Equivalent[]
  /** How many mutants, chosen by the seed. Null for all of them. */
  readonly sample: number | null
  readonly seed: number
  /** With how many test files a mutant is tried at most. */
  readonly mostTests: number
  /** What a mutant has beyond three times the usual time of its tests. */
  readonly graceMs: number
  /** Leave out the tests of other areas. */
  readonly near: boolean
  /** Forget what was found before. */
  readonly fresh: boolean
  /** Where results are kept, so that a run can go on. */
  readonly stateFolder: string
  readonly print: (line: string) => void
  readonly signal: AbortSignal
}

export interface Judgement {
  readonly results: readonly Result[]
  /** How many mutants of the room are suppressed in equivalents.json. */
  readonly suppressed: number
  /** How many there are beside those. */
  readonly all: number
  readonly stale: readonly Equivalent[]
}

export async function judgeRoom(options: JudgeOptions): Promise<Judgement> {
  const { root, files, room, print, signal } = options
  const texts = new Map<string, string>()
  const textOf = (file: string) => {
    const text = texts.get(file) ?? readFileSync(join(root, file), 'utf8')
    texts.set(file, text)
    return text
  }
  const sources = sourcesOf(room, files)
  const mutants = sources.flatMap((file) => findMutants(file, textOf(file)))
  const { tried, suppressed, stale } = suppress(mutants, options.equivalents, sources)
  const chosen = choose(tried, options.sample, options.seed)
  const near = testsIn(room.tests, files)
  const far = options.near ? [] : testsIn(room.more, files).filter((test) => !near.includes(test))
  const name = room.name.replaceAll('/', '-')
  const results = openResults({
    path: join(options.stateFolder, `${name}.jsonl`),
    testsHash: hashOf([...near, ...far].map(textOf)),
    textOf,
    fresh: options.fresh,
  })
  const copy = await createWorkCopy({ from: root, files, modules: options.modules })
  const reaches = openReaches({
    ...{ copy, textOf, print, signal },
    sources: files.filter((file) => /^[\w-]+\/src\/.*\.ts$/.test(file)),
    path: join(options.stateFolder, 'reach.json'),
  })
  try {
    const { mostTests, graceMs } = options
    const trial = {
      ...{ copy, textOf, reaches, mostTests, graceMs, signal },
      sightings: new Map<string, number>(),
    }
    const judged: Result[] = []
    for (const [index, mutant] of chosen.entries()) {
      let result = results.find(mutant)
      if (result === null) {
        result = await tryMutant(mutant, { ...trial, tests: near })
        if (far.length > 0 && !result.verdict.startsWith('seen'))
          result = await tryMutant(mutant, { ...trial, tests: far })
        results.add(mutant, result)
      }
      judged.push(result)
      const place = `${result.file}:${result.line}`
      print(`${index + 1} of ${chosen.length}: ${result.verdict}: ${place} ${result.operator}`)
    }
    return { results: judged, suppressed: suppressed.length, all: tried.length, stale }
  } finally {
    await copy.close()
  }
}

function choose(mutants: readonly Mutant[], sample: number | null, seed: number): Mutant[] {
  if (sample === null) return [...mutants]
  const { int } = createRandom(seed)
  const pool = [...mutants]
  const chosen: Mutant[] = []
  while (chosen.length < sample && pool.length > 0) chosen.push(...pool.splice(int(pool.length), 1))
  return chosen
}
