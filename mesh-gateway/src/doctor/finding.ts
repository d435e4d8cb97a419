/** What the doctor finds, and what it says of a check that found nothing. */
export interface Finding {
  /** What is wrong, with names and numbers. */
  readonly what: string
  /** What happens because of it. */
  readonly why: string
  /** What to type or change. */
  readonly todo: string
}

export interface CheckResult {
  /** Two words at most, e.g. `signing keys`. */
  readonly check: string
  /** What was looked at, in one line. */
  readonly about: string
  /** Empty: fine. */
  readonly findings: readonly Finding[]
}

export function result(
  check: string,
  about: string,
  ...findings: readonly (Finding | null)[]
): CheckResult {
  return { check, about, findings: findings.filter((finding) => finding !== null) }
}

/** A word as a shell takes it. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
