/**
 * Tells of connections that were refused or cut: a counter for each, and one line in the log for each reason
 * within ten seconds, however many there are.
 */
import type { Log } from '@clawmesh/agent-sdk'
import type { ConnectionRefusal, Metrics } from '../../telemetry/metrics-port.ts'

export interface Culprit {
  readonly address: string | undefined
  /** SPIFFE ID, when it has shown a good certificate. */
  readonly agent?: string | null
  /** What was wrong in particular, in words of our own or of a library. */
  readonly detail?: string
}

export type Blame = (reason: ConnectionRefusal, culprit: Culprit) => void

const QUIET_MS = 10_000

/** @param now milliseconds of a monotonic clock */
export function createBlame(
  metrics: Pick<Metrics, 'connectionRefused'>,
  log: Log,
  now: () => number = () => performance.now(),
): Blame {
  const told = new Map<ConnectionRefusal, { at: number; since: number }>()
  return (reason, culprit) => {
    metrics.connectionRefused('delegation', reason)
    const last = told.get(reason)
    const at = now()
    if (last !== undefined && at - last.at < QUIET_MS) {
      last.since += 1
      return
    }
    told.set(reason, { at, since: 0 })
    const more = last === undefined || last.since === 0 ? {} : { not_told: last.since }
    log.warn({ reason, ...culprit, ...more }, 'a connection to the delegation port was refused')
  }
}
