/** How many descriptors a process may have, by /proc/<pid>/limits; Node, Go and squid take the hard limit by themselves. */
import { readFileSync } from 'node:fs'

/** Infinity when nothing limits them, or when nobody says. */
export function mostOpenFiles(): number {
  try {
    return parseOpenFiles(readFileSync('/proc/self/limits', 'utf8'))
  } catch {
    return Number.POSITIVE_INFINITY // no /proc: what is too much will fail and say so
  }
}

/** The hard limit. */
export function parseOpenFiles(limits: string): number {
  const found = /^Max open files +\S+ +(\d+)/m.exec(limits)
  return found === null ? Number.POSITIVE_INFINITY : Number(found[1])
}
