/**
 * Runs a candidate policy over recorded decisions and reports the differences in constant field names: for `mesh-gateway
 * policy replay --json` and the replay form of the console.
 */
import type { PolicySnapshot } from '../policy/snapshot.ts'
import { type RecordedCase, tenantsOfCase } from './recorded-case.ts'
import { createReplay } from './replay.ts'
import type { ReplayReport } from './replay-shapes.ts'

export interface ReportedReplay {
  add(recorded: RecordedCase): void
  report(): ReplayReport
}

export function createReportedReplay(policy: PolicySnapshot, maxExamples: number): ReportedReplay {
  const replay = createReplay(policy, maxExamples)
  const unjudged = new Set<string>()
  let notJudged = 0
  return {
    add(recorded) {
      const broken = tenantsOfCase(recorded).filter((one) => policy.closed.has(one))
      for (const one of broken) unjudged.add(`${one}.json`)
      if (broken.length === 0) replay.add(recorded)
      else notJudged += recorded.times
    },
    report() {
      const { same, byAudit, newlyAllowed, newlyRefused, examples } = replay.result()
      return {
        same,
        not_judged: notJudged,
        broken_files: [...unjudged],
        newly_refused: newlyRefused,
        newly_allowed: newlyAllowed,
        by_audit_mode: byAudit,
        examples: { newly_refused: examples.newlyRefused, newly_allowed: examples.newlyAllowed },
      }
    },
  }
}
