/** Time spans in the configuration: text or milliseconds, within bounds. */
import { z } from 'zod'
import { parseDuration } from './duration.ts'

const FORM = 'must be a time: 15m, 30s, or a number of milliseconds'

export function time(leastMs: number, mostMs: number) {
  return z.union([z.number(), z.string()], FORM).transform((value, context) => {
    const ms = typeof value === 'number' ? value : parseDuration(value)
    const fault =
      ms === null || !Number.isInteger(ms)
        ? FORM
        : ms < leastMs || ms > mostMs
          ? `must be from ${leastMs} to ${mostMs} milliseconds`
          : null
    if (fault === null && ms !== null) return ms
    context.addIssue({ code: 'custom', message: fault ?? '' })
    return z.NEVER
  })
}

export function duration(fallbackMs: number, leastMs: number, mostMs: number) {
  return time(leastMs, mostMs).prefault(fallbackMs)
}
