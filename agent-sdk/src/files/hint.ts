/** Waits for a burst of hints to end, but not for ever: a burst without an end is acted on after five times the wait. */

export interface Hint {
  give(): void
  close(): void
}

const MAX_WAITS = 5

export function createHint(waitMs: number, act: () => void): Hint {
  let burst: { timer: NodeJS.Timeout; readonly since: number } | null = null
  let closed = false
  return {
    give() {
      if (closed) return
      const since = burst?.since ?? performance.now()
      if (burst !== null) {
        if (performance.now() - since > waitMs * MAX_WAITS) return
        clearTimeout(burst.timer)
      }
      const timer = setTimeout(() => {
        burst = null
        act()
      }, waitMs).unref()
      burst = { timer, since }
    },
    close() {
      closed = true
      if (burst !== null) clearTimeout(burst.timer)
    },
  }
}
