/** How long after a revocation streams were cut. */
import { z } from 'zod'
import { quantile } from './statistics.ts'

export interface CutTimes {
  readonly halfMs: number
  readonly p99Ms: number
  readonly lastMs: number
}

const line = z.object({ time: z.string(), reason: z.string().nullable() })

/** When the gateway ended what was revoked, milliseconds since the epoch, from lines of its audit log. */
export function cutsInAudit(text: string, reason: string): number[] {
  // what follows the last line feed is still being written
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n')
  return lines.flatMap((one) => {
    if (!one.includes(reason)) return []
    const record = line.parse(JSON.parse(one))
    return record.reason === reason ? [Date.parse(record.time)] : []
  })
}

/** @param times milliseconds since the epoch, as `sinceMs` */
export function cutTimes(times: readonly number[], sinceMs: number): CutTimes {
  const after = times.map((time) => time - sinceMs)
  return {
    halfMs: quantile(after, 0.5),
    p99Ms: quantile(after, 0.99),
    lastMs: quantile(after, 1),
  }
}
