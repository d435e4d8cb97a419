/** Asks an HTTP address until it answers 200. */
import { setTimeout as delay } from 'node:timers/promises'

const EVERY_MS = 50

/** @param withinMs milliseconds; default 20 000. @throws Error saying what was answered last. */
export async function waitUntilReady(url: string, withinMs = 20_000): Promise<void> {
  const until = Date.now() + withinMs
  let last = 'no answer'
  while (Date.now() < until) {
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(2_000) })
      last = `${response.status} ${(await response.text()).slice(0, 200)}`
      if (response.ok) return
    } catch {
      // not listening yet
      last = 'no answer'
    }
    await delay(EVERY_MS)
  }
  throw new Error(`${url} is not ready after ${withinMs} ms: ${last}`)
}
