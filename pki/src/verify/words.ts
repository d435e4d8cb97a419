/** Formats times and names for a terminal. */

/** 2026-11-22T11:41:14Z */
export function formatDate(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`
}

const DAY = 86_400_000
const HOUR = 3_600_000
const MINUTE = 60_000

/** The two largest units: `364 days 23 h`, `23 h 59 min`, `59 min 2 s`. */
export function formatDuration(ms: number): string {
  const days = Math.floor(ms / DAY)
  const hours = Math.floor((ms % DAY) / HOUR)
  const minutes = Math.floor((ms % HOUR) / MINUTE)
  const seconds = Math.floor((ms % MINUTE) / 1000)
  if (days > 0) return `${days} ${days === 1 ? 'day' : 'days'} ${hours} h`
  if (hours > 0) return `${hours} h ${minutes} min`
  return minutes > 0 ? `${minutes} min ${seconds} s` : `${seconds} s`
}

/**
 * A name from a certificate on one line, without characters that move the cursor of a terminal.
 * @param name undefined: node:crypto gives no subject for a certificate whose subject is empty
 */
export function formatName(name: string | undefined): string {
  const line = name?.split('\n').join(', ') ?? ''
  const short = line.length > 300 ? `${line.slice(0, 300)}...` : line
  return short.replaceAll(/[^\x20-\x7e]/g, '?') || '(no name)'
}
