/** A bounded part of what scripts/fuzz-egress.ts does for as long as one likes. */
import { FUZZ_TARGETS } from './fuzz-targets.ts'

describe('under random input', () => {
  for (const { name, runs, run } of FUZZ_TARGETS)
    it(name, async function () {
      this.timeout(120_000)
      await run({ numRuns: runs })
    })
})
