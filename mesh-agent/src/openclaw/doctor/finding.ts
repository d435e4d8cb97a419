/** What a check of the doctor found. */

export interface Finding {
  /** Stable: scripts match on it. */
  readonly code: string
  /** What is so, with names and numbers. */
  readonly what: string
  /** What to do, safe to follow as it stands. */
  readonly todo: string
  /** Worth knowing, and no fault. */
  readonly note?: true
}

export interface CheckResult {
  /** Two words at most. */
  readonly check: string
  /** What was checked, in one line. */
  readonly about: string
  readonly findings: readonly Finding[]
}

export function result(
  check: string,
  about: string,
  ...findings: readonly (Finding | null)[]
): CheckResult {
  return { check, about, findings: findings.filter((finding) => finding !== null) }
}

export function isFault({ findings }: CheckResult): boolean {
  return findings.some(({ note }) => note !== true)
}

export const SETUP = 'run `mesh-agent openclaw setup`, which shows what it changes and asks first'
