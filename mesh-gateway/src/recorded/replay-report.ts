/**
 * Runs a candidate policy over recorded decisions and reports the differences in constant field names: for `mesh-gateway
 * policy replay --json` and the replay form of the console.
 */
import type { PolicySnapshot } from '../policy/snapshot.ts'
import { type RecordedCase, tenantsOfCase } from './recorded-case.ts'
import { type Changed, createReplay } from './replay.ts'

export interface ReplayReport {
  readonly same: number
  /** Requests of tenants whose file is broken. */
  readonly not_judged: number
  readonly broken_files: readonly string[]
  readonly newly_refused: number
  readonly newly_allowed: number
  /** Requests that audit mode alone lets through. */
  readonly by_audit_mode: number
  readonly examples: {
    readonly newly_refused: readonly Changed[]
    readonly newly_allowed: readonly Changed[]
  }
}

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
