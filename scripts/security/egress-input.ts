/** The properties of the egress port under random input: one part of the gateway at a time, in this process. */
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
