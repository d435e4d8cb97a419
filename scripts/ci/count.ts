/** What a run of the tests came to, as spec-and-count.ts writes it and print-count.ts says it. */

export interface Count {
  readonly passes: number
  readonly failures: number
  readonly skipped: readonly string[]
  /** What failed and was tried once more: its title, and how it had failed. */
  readonly retried: readonly string[]
  /** What failed in the end, likewise. */
  readonly failed: readonly string[]
  /** Files with something that failed in the end, and how many tests passed in each. */
  readonly failedFiles: Readonly<Record<string, number>>
}

/** Of all files once, and then of those that had failed once more. */
export function withSecondTry(first: Count, second: Count): Count {
  const passedBefore = Object.values(first.failedFiles).reduce((sum, passes) => sum + passes, 0)
  return {
    passes: first.passes - passedBefore + second.passes,
    failures: second.failures,
    skipped: [...new Set([...first.skipped, ...second.skipped])],
    retried: [...first.retried, ...first.failed, ...second.retried],
    failed: second.failed,
    failedFiles: second.failedFiles,
  }
}
