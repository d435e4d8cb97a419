/**
 * Counts connections that a port refused or cut, and logs them at a limited rate: for each reason one line per client
 * address in ten seconds, and only for a few addresses, so that a flood does not fill the log.
 */
import type { Log } from '@clawmesh/agent-sdk/mesh'
import { type ClientAddress, sourceOf } from '../net/client-address.ts'
import type { ConnectionRefusal, Metrics, Plane } from './metrics-port.ts'

export interface Offender {
  readonly client: ClientAddress
  /** SPIFFE ID, when the client has shown a valid certificate. */
  readonly agent?: string | null
  /** The details, in words of the gateway or of a library. */
  readonly detail?: string
}

export type RefusalLog = (reason: ConnectionRefusal, offender: Offender) => void

export interface RefusalLogOptions {
  readonly port: Plane | 'admin' | 'health'
  readonly metrics: Pick<Metrics, 'connectionRefused'>
  readonly log: Pick<Log, 'warn'>
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number
}

const QUIET_MS = 10_000
/** Per reason, within that time. */
const MAX_SOURCES = 10

interface Window {
  readonly since: number
  readonly sources: Set<string>
  untold: number
}

export function createRefusalLog(options: RefusalLogOptions): RefusalLog {
  const { port, metrics, log, now = () => performance.now() } = options
  const windows = new Map<ConnectionRefusal, Window>()
  return (reason, { client, ...more }) => {
    metrics.connectionRefused(port, reason)
    const at = now()
    const source = sourceOf(client.ip)
    let window = windows.get(reason)
    let untold = 0
    if (window === undefined || at - window.since >= QUIET_MS) {
      untold = window?.untold ?? 0
      window = { since: at, sources: new Set(), untold: 0 }
      windows.set(reason, window)
    }
    if (window.sources.has(source) || window.sources.size >= MAX_SOURCES) {
      window.untold += 1
      return
    }
    window.sources.add(source)
    const before = untold === 0 ? {} : { not_told: untold }
    log.warn(
      { reason, client_ip: client.ip, client_port: client.port, ...more, ...before },
      `a connection to the ${port} port was refused`,
    )
  }
}
