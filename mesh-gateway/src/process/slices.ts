/**
 * Runs long work in slices of a few milliseconds, with the event loop in between, so that it delays nothing else. When
 * the work is overdue because other work takes the time, its slices grow with what the other work takes.
 */
export interface Slices {
  /**
   * Begins the work, with a first slice at once. Does nothing while it runs: the work itself must notice that there is
   * more.
   */
  start(): void
}

export interface SlicesOptions {
  /** Each `yield` is a place where it may pause. Called once for each run; it returns when nothing is left to do. */
  work(): Generator<void, void>
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number
}

const SLICE_MS = 4
/**
 * Work older than this, in milliseconds, gets 20 % of the loop, at most 20 ms a slice; more would let the load it
 * causes grow the slices.
 */
const HURRY_AFTER_MS = 400
const LONGEST_SLICE_MS = 20
/** The clock is read once per this many steps. */
const STRIDE = 8

export function createSlices({ work, now = () => performance.now() }: SlicesOptions): Slices {
  let running: Generator<void, void> | null = null
  let begunMs = 0
  let pausedMs = 0

  function slice(): void {
    if (running === null) return
    const startMs = now()
    const late = startMs - begunMs > HURRY_AFTER_MS
    const share = late ? Math.min((startMs - pausedMs) / 4, LONGEST_SLICE_MS) : 0
    const untilMs = startMs + Math.max(share, SLICE_MS)
    let whole = false
    try {
      do {
        for (let step = 0; step < STRIDE && !whole; step += 1) whole = running.next().done === true
      } while (!whole && now() < untilMs)
    } catch (error) {
      // the next start creates a new run
      running = null
      throw error
    }
    pausedMs = now()
    if (whole) running = null
    else setImmediate(slice)
  }

  return {
    start() {
      if (running !== null) return
      running = work()
      begunMs = now()
      pausedMs = begunMs
      slice()
    },
  }
}
