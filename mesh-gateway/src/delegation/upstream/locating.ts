/** Caches the addresses of one peer for the time that DNS allows; keeps the last answer while DNS fails. */

import { type Located, locate, Unresolved } from './locate.ts'
import type { UpstreamsOptions } from './upstreams-options.ts'

export interface Locating {
  /** The last answer, while it is valid. */
  current(): Located | null
  /** Asks DNS, once for all concurrent callers. @throws MeshError as `locate` does */
  find(): Promise<Located>
  readonly underWay: boolean
}

export interface LocatingOptions extends Pick<UpstreamsOptions, 'resolver' | 'metrics' | 'log'> {
  readonly host: string
  readonly port: number | null
  readonly peerPorts: readonly number[]
  /** Called with each new answer. */
  onFound(located: Located): void
}

/** How long a stale answer is used before DNS is asked again, in milliseconds. */
const STALE_MS = 1_000

export function createLocating(options: LocatingOptions): Locating {
  const { resolver, metrics, log, host, port, peerPorts, onFound } = options
  let located: Located | null = null
  let expires = 0
  let locating: Promise<Located> | null = null

  function keep(found: Located, ms: number): Located {
    located = found
    expires = performance.now() + ms
    return found
  }

  async function ask(): Promise<Located> {
    const started = performance.now()
    try {
      const found = await locate(resolver, host, port, peerPorts)
      metrics.dns('delegation', (performance.now() - started) / 1000)
      keep(found, found.ttlMs)
      onFound(found)
      return found
    } catch (cause) {
      if (located === null || !(cause instanceof Unresolved) || cause.gone) throw cause
      // DNS fails, not the peer: use its last answer, and ask again soon
      log.warn({ peer: host, err: cause }, 'DNS does not answer; its last answer is used')
      metrics.dnsStale('delegation')
      return keep(located, STALE_MS)
    } finally {
      locating = null
    }
  }

  const current = () => (expires > performance.now() ? located : null)
  return {
    current,
    async find() {
      const known = current()
      if (known !== null) return known
      locating ??= ask()
      return await locating
    },
    get underWay() {
      return locating !== null
    },
  }
}
