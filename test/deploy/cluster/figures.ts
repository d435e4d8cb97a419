/** What the tests of a cluster print beside their results. */

export function tell(what: string, ms: number): void {
  process.stderr.write(`      ${what}: ${Math.round(ms)} ms\n`)
}

/** Tells how long it took. */
export async function timed(what: string, act: () => Promise<void>): Promise<void> {
  const began = performance.now()
  await act()
  tell(what, performance.now() - began)
}

export function first<T>(all: readonly T[]): T {
  const [one] = all
  if (one === undefined) throw new Error('there is none')
  return one
}
