/** The properties of the egress port under random input, as `node scripts/fuzz-egress.ts` runs them: one gateway part at a time. */
import { FUZZ_TARGETS } from '../../test/mesh-gateway/egress/fuzz-targets.ts'
import type { Campaign } from './campaign.ts'

export const egressInput: Campaign = {
  name: 'egress input',
  async run(seed, deadlineMs, report) {
    for (const { runs, run } of FUZZ_TARGETS) {
      if (Date.now() > deadlineMs) return
      await run({ seed, numRuns: runs })
      report.steps(runs)
    }
  },
}
