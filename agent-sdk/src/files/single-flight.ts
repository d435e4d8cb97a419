/** One run at a time. A run that is asked for while one goes on begins when that one has ended, once for all that asked. */

export interface SingleFlight<T> {
  /** The result of a run that begins now or later, never of one that has begun already. */
  now(): Promise<T>
  /** Begins a run when none goes on. */
  unlessRunning(): void
  /** Resolves when no run goes on. */
  idle(): Promise<void>
}

/** @param work never rejects */
export function singleFlight<T>(work: () => Promise<T>): SingleFlight<T> {
  let running: Promise<T> | null = null
  let next: Promise<T> | null = null

  function now(): Promise<T> {
    if (running === null) {
      running = work().finally(() => {
        running = null
      })
      return running
    }
    next ??= running.then(() => {
      next = null
      return now()
    })
    return next
  }

  return {
    now,
    unlessRunning() {
      if (running === null) void now()
    },
    async idle() {
      while (running !== null || next !== null) await (next ?? running)
    },
  }
}
