/**
 * Logs when the system clock was set. Certificates, tokens and revocation lists are judged by it; an operator who sees
 * calls refused at that moment finds the reason in the log.
 */
import type { Log } from '@clawmesh/agent-sdk/mesh'

export interface ClockWatchOptions {
  readonly log: Pick<Log, 'info' | 'warn'>
  /** The interval of checks, in milliseconds. Default 1,000. */
  readonly everyMs?: number
  /** Smaller steps are corrections, and are not logged, in milliseconds. Default 2,000. */
  readonly leastMs?: number
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
  /** Milliseconds of a monotonic clock. Default performance.now. */
  readonly monotonicNow?: () => number
}

export interface ClockWatch {
  /** Checks now. */
  look(): void
  close(): void
}

export function watchClock(options: ClockWatchOptions): ClockWatch {
  const { log, everyMs = 1_000, leastMs = 2_000 } = options
  const { now = Date.now, monotonicNow = () => performance.now() } = options
  let before = now() - monotonicNow()
  const look = () => {
    const offset = now() - monotonicNow()
    const stepMs = Math.round(offset - before)
    before = offset
    if (Math.abs(stepMs) < leastMs) return
    const seconds = Math.round(Math.abs(stepMs) / 1000)
    const fields = { step_ms: stepMs, now: new Date(now()).toISOString() }
    if (stepMs < 0)
      log.warn(
        fields,
        `the clock went back by ${seconds} s: certificates and tokens of that time are refused on new connections until it has passed`,
      )
    // a machine that slept looks the same
    else log.info(fields, `the clock went forward by ${seconds} s`)
  }
  const timer = setInterval(look, everyMs).unref()
  return Object.freeze({ look, close: () => clearInterval(timer) })
}
