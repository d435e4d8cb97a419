/** A bounded part of the campaign `egress input` of `npm run test:security`. Seeds are fresh; what breaks is printed with its seed. */
import { FUZZ_TARGETS } from './fuzz-targets.ts'

describe('under random input', () => {
  for (const { name, runs, run } of FUZZ_TARGETS)
    it(name, async function () {
      this.timeout(120_000)
      await run({ numRuns: runs })
    })
})
