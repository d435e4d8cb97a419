/**
 * Throws random input at the egress port for as long as it is told to: node scripts/fuzz-egress.ts --seconds 600
 * A promise that breaks is printed with its seed and its smallest case; `--seed N` does that run again. CI does a bounded
 * number of cases by test/mesh-gateway/egress/fuzz.test.ts.
 */
import { parseArgs } from 'node:util'
import { FUZZ_TARGETS } from '../test/mesh-gateway/egress/fuzz-targets.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    only: { type: 'string', default: '' },
  },
})
const endMs = Date.now() + Number(values.seconds) * 1000
const targets = FUZZ_TARGETS.filter((target) => target.name.includes(values.only))
if (targets.length === 0 || !Number.isFinite(endMs)) {
  process.stderr.write(
    'usage: node scripts/fuzz-egress.ts [--seconds 60] [--seed N] [--only words of a name]\n',
  )
  process.exit(2)
}

let cases = 0
do {
  for (const { name, runs, run } of targets) {
    const seed =
      values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed)
    try {
      await run({ seed, numRuns: runs })
    } catch (error) {
      const cause = error instanceof Error ? `\n${String(error.cause)}` : ''
      process.stdout.write(`${name}: broken, seed ${seed}\n${String(error)}${cause}\n`)
      process.exit(1)
    }
    cases += runs
  }
} while (Date.now() < endMs && values.seed === undefined)
process.stdout.write(`${cases} cases, nothing broken\n`)
