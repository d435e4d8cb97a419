/** Waits for a condition that announces itself by no event. Where there is an event, `once` of node:events is better. */

export interface WaitOptions {
  /** Milliseconds. Default 10 000. */
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
  { withinMs = 10_000, everyMs = 20 }: WaitOptions = {},
): Promise<Exclude<T, undefined | null | false>> {
  const until = Date.now() + withinMs
  for (;;) {
    const value = await look()
    if (isThere(value)) return value
    if (Date.now() >= until) throw new Error(`waited ${withinMs} ms in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}

function isThere<T>(value: T): value is Exclude<T, undefined | null | false> {
  return value !== undefined && value !== null && value !== false
}
