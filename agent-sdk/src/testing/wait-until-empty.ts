/** Waits for calls that are about to end. */
import { setTimeout as sleep } from 'node:timers/promises'

const LOOK_MS = 5

/** Resolves when the set is empty, or after `withinMs` milliseconds. */
export async function waitUntilEmpty(set: ReadonlySet<unknown>, withinMs: number): Promise<void> {
  const until = performance.now() + withinMs
  while (set.size > 0 && performance.now() < until) await sleep(LOOK_MS)
}
