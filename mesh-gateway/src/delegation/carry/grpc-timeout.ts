/** The grpc-timeout header (gRPC over HTTP/2, "Timeout"): at most eight digits and a unit. */
const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
}

/** The longest timeout that every implementation understands: grpc-js keeps milliseconds in an int32. */
const LONGEST_MS = 2_147_483_000

/** Milliseconds, capped at the maximum of a timer; null when malformed. */
export function parseGrpcTimeout(value: string): number | null {
  const unit = UNIT_MS[value.slice(-1)]
  const digits = value.slice(0, -1)
  if (unit === undefined || !/^\d{1,8}$/.test(digits)) return null
  return Math.min(LONGEST_MS, Number(digits) * unit)
}

/**
 * The remaining time as a header: whole milliseconds while they fit, then seconds. Never longer than `ms`, never zero.
 */
export function formatGrpcTimeout(ms: number): string {
  if (ms < 1) return `${Math.max(1, Math.floor(ms * 1000))}u`
  if (ms < 100_000_000) return `${Math.floor(ms)}m`
  return `${Math.floor(Math.min(ms, LONGEST_MS) / 1000)}S`
}

/**
 * Deadlines are rounded up to this step, in milliseconds, so that calls share timers; callers keep their own clock as
 * well.
 */
const DEADLINE_STEP_MS = 50

export function startDeadline(timeoutMs: number, passed: () => void): NodeJS.Timeout {
  return setTimeout(passed, Math.ceil(timeoutMs / DEADLINE_STEP_MS) * DEADLINE_STEP_MS)
}
