/** What the tests of a cluster print beside their results. */

export function tell(what: string, ms: number): void {
  process.stderr.write(`      ${what}: ${Math.round(ms)} ms\n`)
}

export function first<T>(all: readonly T[]): T {
  const [one] = all
  if (one === undefined) throw new Error('there is none')
  return one
}
