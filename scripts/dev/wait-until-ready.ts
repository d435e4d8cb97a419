/** Asks an HTTP address until it answers 200. */
import { get } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'

export interface ReadyOptions {
  /** Milliseconds. Default 20 000. */
  readonly withinMs?: number
  /** Ends the asking; the promise rejects with its reason. */
  readonly signal?: AbortSignal
}

const EVERY_MS = 40

/** @throws Error saying what was answered last. */
export async function waitUntilReady(url: string, options: ReadyOptions = {}): Promise<void> {
  const { withinMs = 20_000, signal } = options
  const until = Date.now() + withinMs
  for (;;) {
    signal?.throwIfAborted()
    const answer = await ask(url)
    if (answer === '200') return
    if (Date.now() >= until) throw new Error(`${url} is not ready after ${withinMs} ms: ${answer}`)
    await delay(EVERY_MS, undefined, signal === undefined ? {} : { signal })
  }
}

/** The status, or what went wrong. The connection is not kept. */
function ask(url: string): Promise<string> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: 2_000 }, (response) => {
      response.resume()
      resolve(String(response.statusCode))
    })
    request.once('timeout', () => request.destroy())
    request.once('error', (error) => resolve(error.message))
  })
}
