/** Time spans in the configuration: text or milliseconds, within bounds. */
import { DURATION_FORM, parseDuration } from '@clawmesh/proto'
import { z } from 'zod'

const FORM = 'must be a time: 15m, 30s, or a number of milliseconds'

export function time(leastMs: number, mostMs: number) {
  const number = z.number().meta({ minimum: leastMs, maximum: mostMs })
  const text = z.string().meta({ pattern: DURATION_FORM.source })
  return z.union([number, text], FORM).transform((value, context) => {
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
