/** Runs work to its end in slices of a few milliseconds, with the event loop in between. */

/** Work that may pause at each `yield`, and returns a result. */
export type Steps<T> = Generator<void, T>

const SLICE_MS = 4

/**
 * Resolves with the generator's result; each `yield` is a place where it may pause.
 * @param signal stops it before the next slice: the promise rejects with the reason
 */
export async function inSlices<T>(work: Steps<T>, signal?: AbortSignal): Promise<T> {
  for (;;) {
    const untilMs = performance.now() + SLICE_MS
    do {
      const step = work.next()
      if (step.done === true) return step.value
    } while (performance.now() < untilMs)
    await new Promise<void>((resolve) => setImmediate(resolve))
    signal?.throwIfAborted()
  }
}

/** Like inSlices, without a pause. */
export function atOneGo<T>(work: Steps<T>): T {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
  }
}
