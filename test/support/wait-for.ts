/** Waits for a condition that announces itself by no event. Where there is an event, `once` of node:events is better. */

export interface WaitOptions {
  /** Milliseconds; only what hangs takes so long. Default 30 000. */
  readonly withinMs?: number
  /** Milliseconds. Default 20. */
  readonly everyMs?: number
}

/**
 * Resolves with the first value that is neither undefined, null nor false.
 * @param what said when it never comes: "the audit line"
 */
export async function waitFor<T>(
  what: string,
  look: () => T | Promise<T>,
  { withinMs = 30_000, everyMs = 20 }: WaitOptions = {},
): Promise<Exclude<T, undefined | null | false>> {
  const until = Date.now() + withinMs
  for (;;) {
    const value = await look()
    if (isThere(value)) return value
    if (Date.now() >= until) throw new Error(`waited ${withinMs} ms in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}

/** Resolves with a number that several looks in a row found the same: what fills up has filled up, or stands still. */
export async function waitUntilStill(
  what: string,
  look: () => number,
  { everyMs = 100, looks = 5 }: { readonly everyMs?: number; readonly looks?: number } = {},
): Promise<number> {
  let [last, same] = [Number.NaN, 0]
  return waitFor(
    what,
    () => {
      const now = look()
      same = now === last ? same + 1 : 0
      last = now
      // 0 too is a number to be told
      return same >= looks && { now }
    },
    { everyMs, withinMs: 60_000 },
  ).then(({ now }) => now)
}

function isThere<T>(value: T): value is Exclude<T, undefined | null | false> {
  return value !== undefined && value !== null && value !== false
}
