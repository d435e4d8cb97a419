/** Compares the clock of this machine with that of a peer. */

import { plural } from '../text/plural.ts'
import { span } from '../text/time-span.ts'
import { type CheckResult, result } from './finding.ts'

export interface ClockFacts {
  /** The name of the peer. */
  readonly peer: string
  /** Its clock, milliseconds since the epoch; null when it sends none. */
  readonly theirMs: number | null
  /** The clock of this machine when the answer came. */
  readonly ourMs: number
}

/** The tolerance of tokens; HTTP sends whole seconds. */
const SKEW_MS = 30_000

export function checkClocks({ peer, theirMs, ourMs }: ClockFacts): CheckResult {
  if (theirMs === null) return result('clocks', `${peer} does not tell its time`)
  const aheadMs = theirMs - ourMs
  const seconds = plural(Math.ceil(Math.abs(aheadMs) / 1000), 'second')
  const about = `${peer} and this machine are within ${seconds}`
  if (Math.abs(aheadMs) <= SKEW_MS) return result('clocks', about)
  const how = aheadMs > 0 ? 'ahead of' : 'behind'
  return result('clocks', `${peer} and this machine`, {
    what: `the clock of ${peer} is ${span(aheadMs)} ${how} ours: ${new Date(theirMs).toISOString()} there, ${new Date(ourMs).toISOString()} here`,
    why: 'certificates and tokens that are fresh on one side are not valid yet, or have ended, on the other',
    todo: 'timedatectl status on both machines, then timedatectl set-ntp true where it is off',
  })
}
