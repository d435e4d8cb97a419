/** The result of a check of the doctor, with its findings. */
export interface Finding {
  /** The fault, with names and numbers. */
  readonly what: string
  /** Its consequence. */
  readonly why: string
  /** The command to run or the setting to change. */
  readonly todo: string
}

export interface CheckResult {
  /** Two words at most, e.g. `signing keys`. */
  readonly check: string
  /** What was checked, in one line. */
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

/** Quotes a word for a shell. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
