/** Formats time spans for pages and commands. */
import { plural } from './plural.ts'

/** `3 days`, `5 hours`, `2 minutes`. */
export function span(ms: number): string {
  const units: [string, number][] = [
    ['day', 86_400_000],
    ['hour', 3_600_000],
    ['minute', 60_000],
    ['second', 1000],
  ]
  const [name, size] = units.find(([, unit]) => Math.abs(ms) >= 2 * unit) ?? ['second', 1000]
  return plural(Math.floor(Math.abs(ms) / size), name)
}

/** `in 3 days`, `5 hours ago`. */
function relativeTime(atMs: number, nowMs: number): string {
  const words = span(atMs - nowMs)
  return atMs < nowMs ? `${words} ago` : `in ${words}`
}

/** `2026-11-29T17:00:00.000Z, 5 hours ago`. */
export function timeInWords(at: Date, nowMs = Date.now()): string {
  return `${at.toISOString()}, ${relativeTime(at.getTime(), nowMs)}`
}
