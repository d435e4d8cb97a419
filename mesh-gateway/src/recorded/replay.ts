/**
 * Runs a candidate policy over recorded decisions and collects the differences. Memory is bounded, however long the
 * recording.
 */
import type { PolicySnapshot } from '../policy/snapshot.ts'
import { caseJudge } from './decide-case.ts'
import type { RecordedCase } from './recorded-case.ts'
import type { Changed } from './replay-shapes.ts'

export interface Replayed {
  readonly same: number
  readonly newlyRefused: number
  readonly newlyAllowed: number
  /** Requests admitted by audit mode only. */
  readonly byAudit: number
  readonly examples: {
    readonly newlyRefused: readonly Changed[]
    readonly newlyAllowed: readonly Changed[]
  }
}

export interface Replay {
  add(recorded: RecordedCase): void
  result(): Replayed
}

export function createReplay(policy: PolicySnapshot, maxExamples: number): Replay {
  const judge = caseJudge(policy)
  const refused = createExamples(maxExamples)
  const allowed = createExamples(maxExamples)
  let same = 0
  let byAudit = 0
  return {
    add(recorded) {
      const verdict = judge(recorded)
      if (verdict.code === null && verdict.byAudit) byAudit += recorded.times
      if (recorded.allowed === (verdict.code === null)) same += recorded.times
      else if (recorded.allowed) refused.add(recorded, verdict.code, verdict.rule)
      else allowed.add(recorded, recorded.code, verdict.rule)
    },
    result: () => ({
      same,
      byAudit,
      newlyRefused: refused.count(),
      newlyAllowed: allowed.count(),
      examples: { newlyRefused: refused.all(), newlyAllowed: allowed.all() },
    }),
  }
}

export function describeCase(recorded: RecordedCase): { agent: string; what: string } {
  if (recorded.plane === 'delegation') {
    const { caller, callee, method } = recorded.question
    return {
      agent: `${caller.tenant}/${caller.agent}`,
      what: `${callee.tenant}/${callee.agent} ${method}`,
    }
  }
  const { agent, host, port, request } = recorded.question
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`
  return {
    agent: `${agent.tenant}/${agent.agent}`,
    what:
      request === null ? `CONNECT ${authority}` : `${request.method} ${authority}${request.path}`,
  }
}

/** Keeps the first examples of each kind, and counts the others. */
function createExamples(max: number) {
  const found = new Map<string, Changed>()
  let total = 0
  return {
    add(recorded: RecordedCase, code: string | null, rule: string | null) {
      const { plane, time, times } = recorded
      total += times
      const { agent, what } = describeCase(recorded)
      const key = `${plane} ${agent} ${what} ${code}`
      const before = found.get(key)
      if (before !== undefined) found.set(key, { ...before, count: before.count + times })
      else if (found.size < max)
        found.set(key, { plane, agent, what, code, rule, count: times, time })
    },
    count: () => total,
    all: (): readonly Changed[] => [...found.values()],
  }
}
